import { isIP } from 'node:net'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { SlopboxError } from '../contract/errors.ts'
import { newId } from '../contract/ids.ts'
import { endToEnd, findFault } from '../lib/http-gate.ts'
import type { Header } from '../lib/http-gate.ts'

/** One request as the rest of the gateway sees it: its head has passed the strict gate. */
export interface Visit {
  request: IncomingMessage
  requestId: string
  secure: boolean
  /** Address of the client's end of the connection, IPv4-mapped ones as IPv4. */
  address: string
  /** The Host header, lower case. */
  host: string
  /** Path without query. */
  path: string
  /** Aborted when the client's connection closes. */
  gone: AbortSignal
}

export function openVisit(request: IncomingMessage, secure: boolean, end: ServerResponse | Duplex): Visit {
  const fault = findFault({
    method: request.method ?? '',
    url: request.url ?? '',
    httpVersion: request.httpVersion,
    rawHeaders: request.rawHeaders,
  })
  if (fault !== undefined) throw new SlopboxError('invalid_request', `refused request: ${fault}`)
  const gone = new AbortController()
  end.once('close', () => gone.abort())
  return {
    request,
    secure,
    requestId: newId('request'),
    address: (request.socket.remoteAddress ?? '').replace(/^::ffff:/, ''),
    host: (request.headers.host ?? '').toLowerCase(),
    path: (request.url ?? '/').split('?', 1)[0] ?? '/',
    gone: gone.signal,
  }
}

export const schemeOf = (visit: Visit): 'http' | 'https' => (visit.secure ? 'https' : 'http')
export const originOf = (visit: Visit): string => `${schemeOf(visit)}://${visit.host}`

/** A page load a person sees, so that an answer may be a page or a redirect. */
export function isNavigation(visit: Visit): boolean {
  const { method, headers } = visit.request
  if (method !== 'GET' && method !== 'HEAD') return false
  if (headers['sec-fetch-mode'] !== undefined) return headers['sec-fetch-mode'] === 'navigate'
  return wantsHtml(visit)
}

export const wantsHtml = (visit: Visit): boolean => /\btext\/html\b/.test(visit.request.headers.accept ?? '')

/**
 * The client's headers without any that speak for a proxy: who the client is and how it came is said by the gateway
 * alone. `x-slopbox-` is the gateway's own word towards control, `x-openclaw-` towards an agent.
 */
export function clientHeaders(visit: Visit): Header[] {
  return endToEnd(visit.request.rawHeaders).filter(
    ([name]) =>
      name !== 'forwarded' && name !== 'via' && !/^x-(?:forwarded|real|slopbox|openclaw|original)-/.test(name),
  )
}

/** Address to name to an agent: it refuses loopback ones, so those become one from the documentation range (RFC 5737). */
export function addressForAgent(address: string): string {
  if (isIP(address) === 0 || address.startsWith('127.') || address === '::1') return '192.0.2.1'
  return address
}

/** Collects headers for `node:http`, repeated names as lists. */
export function toHeaderObject(headers: readonly Header[]): Record<string, string | string[]> {
  const all: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>
  for (const [name, value] of headers) {
    const before = all[name]
    all[name] = before === undefined ? value : [...[before].flat(), value]
  }
  return all
}
