import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readFile, realpath } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { extname, join, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { SlopboxError } from '../contract/errors.ts'
import { securityHeaders } from './control-pass.ts'
import { page, pageHeaders } from './pages.ts'
import type { Visit } from './visit.ts'

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.webp': 'image/webp',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
}

/** Serves the built console: files by name, and its `index.html` for every other path, where the page's own router takes over. */
export async function serveConsole(directory: string, visit: Visit, response: ServerResponse): Promise<void> {
  const { method } = visit.request
  if (method !== 'GET' && method !== 'HEAD')
    throw new SlopboxError('not_found', `no such operation: ${method} ${visit.path}`)
  const extension = extname(visit.path)
  const file = extension === '' ? undefined : await openInside(directory, visit.path)
  if (file !== undefined) return await sendFile(file, extension, visit, response)
  if (extension !== '' && types[extension] !== undefined) throw new SlopboxError('not_found', `no file ${visit.path}`)
  await sendIndex(directory, visit, response)
}

interface OpenFile {
  handle: FileHandle
  size: number
  etag: string
}

/** Opens a regular file below the directory; undefined when there is none. Links that lead outside are not followed. */
async function openInside(directory: string, path: string): Promise<OpenFile | undefined> {
  try {
    const root = await realpath(directory)
    const target = await realpath(join(root, decodeURIComponent(path)))
    if (!target.startsWith(root + sep)) return undefined
    const handle = await open(target)
    const stat = await handle.stat()
    if (stat.isFile())
      return { handle, size: stat.size, etag: `"${stat.size.toString(36)}-${stat.mtimeMs.toString(36)}"` }
    await handle.close()
    return undefined
  } catch (error) {
    if (error instanceof URIError || absent.has((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}
const absent = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP', 'ERR_INVALID_ARG_VALUE'])

async function sendFile(file: OpenFile, extension: string, visit: Visit, response: ServerResponse): Promise<void> {
  const headers = {
    ...Object.fromEntries(securityHeaders(visit)),
    'content-type': types[extension] ?? 'application/octet-stream',
    etag: file.etag,
    // The build names files under /assets/ by their content.
    'cache-control': visit.path.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
  }
  if (visit.request.headers['if-none-match'] === file.etag || visit.request.method === 'HEAD') {
    await file.handle.close()
    const same = visit.request.headers['if-none-match'] === file.etag
    return void response.writeHead(same ? 304 : 200, same ? headers : { ...headers, 'content-length': file.size }).end()
  }
  response.writeHead(200, { ...headers, 'content-length': file.size })
  await pipeline(createReadStream('', { fd: file.handle, start: 0 }), response)
}

async function sendIndex(directory: string, visit: Visit, response: ServerResponse): Promise<void> {
  const html = await readIndex(directory)
  if (html === undefined) return sendNotBuilt(response)
  const etag = `"${createHash('sha256').update(html).digest('base64url').slice(0, 22)}"`
  const headers = {
    ...Object.fromEntries(securityHeaders(visit)),
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': contentPolicy(html),
    'cache-control': 'no-cache',
    etag,
  }
  if (visit.request.headers['if-none-match'] === etag) return void response.writeHead(304, headers).end()
  response.writeHead(200, { ...headers, 'content-length': Buffer.byteLength(html) })
  response.end(visit.request.method === 'HEAD' ? undefined : html)
}

async function readIndex(directory: string): Promise<string | undefined> {
  try {
    return await readFile(join(directory, 'index.html'), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Scripts only from here, and exactly the inline ones of the page itself. */
export function contentPolicy(html: string): string {
  const inline = [...html.matchAll(/<script(?![^>]*\bsrc=)[^>]*>([\s\S]*?)<\/script>/g)].map(
    ([, code = '']) => `'sha256-${createHash('sha256').update(code).digest('base64')}'`,
  )
  return [
    "default-src 'self'",
    ["script-src 'self'", ...inline].join(' '),
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    "connect-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; ')
}

function sendNotBuilt(response: ServerResponse): void {
  const html = page({
    title: 'The console is not built',
    text: 'The API works, but the web console has not been built on this machine.',
    hint: 'Run `npm run build:console` in the Slopbox directory, or start with `./slopbox up`, which does it.',
    foot: 'See /docs for the API.',
    action: { href: '/docs', label: 'API documentation' },
  })
  response.writeHead(503, { ...pageHeaders, 'content-type': 'text/html; charset=utf-8', 'retry-after': '10' }).end(html)
}
