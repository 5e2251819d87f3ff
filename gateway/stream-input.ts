import type { IncomingMessage } from 'node:http'
import { SlopboxError } from '../contract/errors.ts'
import type { Input, Route } from '../contract/route.ts'
import { issuesToText } from '../lib/faults.ts'
import { maxApiBodyBytes } from './control-pass.ts'
import { assertBodySize } from './forward.ts'
import type { Visit } from './visit.ts'

/** What the operation takes, from path, query and body; throws `invalid_request` naming what is wrong. */
export async function readInput<R extends Route>(
  route: R,
  visit: Visit,
  params: Record<string, string>,
): Promise<Input<R>> {
  const query = Object.fromEntries(new URL(visit.request.url ?? '/', 'http://api').searchParams)
  const bare =
    route.method === 'GET' || route.carries === 'body' || (route.method === 'DELETE' && !hasBody(visit.request))
  const body = bare ? {} : await readJson(visit.request, visit)
  return {
    params: parse('path', route, 'params', params),
    query: parse('query', route, 'query', query),
    body: parse('body', route, 'body', body),
  } as Input<R>
}

function parse(part: string, route: Route, key: 'params' | 'query' | 'body', value: unknown): unknown {
  const result = route[key].safeParse(value)
  if (result.success) return result.data
  // An id that cannot exist and one that does not are the same to the caller.
  if (key === 'params') throw new SlopboxError('not_found', `no such ${route.path.split('/')[2]?.replace(/s$/, '')}`)
  throw new SlopboxError('invalid_request', issuesToText(part, result.error.issues))
}

async function readJson(request: IncomingMessage, visit: Visit): Promise<unknown> {
  assertBodySize(visit, maxApiBodyBytes)
  if (!/^application\/json\b/.test(request.headers['content-type'] ?? ''))
    throw new SlopboxError('invalid_request', 'body must be JSON: send `Content-Type: application/json`')
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxApiBodyBytes)
      throw new SlopboxError('too_large', `request body is longer than ${maxApiBodyBytes} bytes`)
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch (cause) {
    throw new SlopboxError('invalid_request', 'body is not JSON', { cause })
  }
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
