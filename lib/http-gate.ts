/**
 * Checks on the head of an HTTP/1.x request that a lenient parser leaves open: whatever two parsers could read in two
 * ways is refused before anything acts on it (RFC 9112 §6.3, §11.2). Node's own parser has run before.
 */
export interface RequestHead {
  method: string
  url: string
  httpVersion: string
  /** Names and values in turn, as received. */
  rawHeaders: readonly string[]
}

export type Header = readonly [name: string, value: string]

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
/** More than one of these is a contradiction. */
const single = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'content-type',
  'authorization',
  'proxy-authorization',
  'origin',
  'upgrade',
  'expect',
  'x-api-key',
  'x-user-id',
  'sec-websocket-key',
  'sec-websocket-version',
])
const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
])
/** Naming one of these in `Connection` would make the next hop drop what this one has judged by. */
const neverNominated = new Set([
  'host',
  'content-length',
  'cookie',
  'authorization',
  'origin',
  'x-api-key',
  'x-user-id',
])

/** What is wrong with the request, as a fragment to show; undefined when it can be read in one way only. */
export function findFault(head: RequestHead): string | undefined {
  if (!methods.has(head.method)) return `method ${head.method.slice(0, 32)} is not allowed here`
  if (head.httpVersion !== '1.1' && head.httpVersion !== '1.0') return `HTTP version ${head.httpVersion}`
  return findTargetFault(head.url) ?? findHeaderFault(head)
}

/** The request-target must be in origin form (RFC 9112 §3.2.1), visible ASCII, without dot segments in any spelling. */
export function findTargetFault(url: string): string | undefined {
  if (!url.startsWith('/') || url.startsWith('//')) return 'request-target is not a path'
  if (!/^[\x21-\x7e]+$/.test(url) || /[#\\]/.test(url)) return 'request-target has characters that must be encoded'
  const path = url.split('?', 1)[0] ?? ''
  if (path.split('/').some((segment) => /^(?:\.|%2e){1,2}$/i.test(segment))) return 'path has dot segments'
  if (/%(?:00|2f|5c)/i.test(path)) return 'path has an encoded separator'
  return undefined
}

function findHeaderFault(head: RequestHead): string | undefined {
  const seen = new Map<string, string>()
  for (const [given, value] of headerPairs(head.rawHeaders)) {
    const name = given.toLowerCase()
    // `Content_Length` and the like: some servers read them as the real thing.
    const alias = name.replaceAll(/[_.]/g, '-')
    if (alias !== name && (single.has(alias) || hopByHop.has(alias) || alias.startsWith('x-')))
      return `header ${name.slice(0, 64)} looks like another`
    if (single.has(name) && seen.has(name)) return `more than one ${name} header`
    seen.set(name, value)
  }
  const host = seen.get('host')
  if (host === undefined) return 'no Host header'
  if (!/^(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/.test(host)) return 'Host header is not a host'
  return findFramingFault(head.httpVersion, seen) ?? findNominationFault(seen)
}

function findFramingFault(httpVersion: string, seen: ReadonlyMap<string, string>): string | undefined {
  const coding = seen.get('transfer-encoding')
  const length = seen.get('content-length')
  if (coding !== undefined) {
    if (httpVersion === '1.0') return 'Transfer-Encoding in HTTP/1.0'
    if (coding !== 'chunked') return 'Transfer-Encoding other than chunked'
    if (length !== undefined) return 'both Transfer-Encoding and Content-Length'
  }
  if (length !== undefined && !/^\d{1,15}$/.test(length)) return 'Content-Length is not a number'
  return undefined
}

function findNominationFault(seen: ReadonlyMap<string, string>): string | undefined {
  const bad = nominated(seen.get('connection') ?? '').find((name) => neverNominated.has(name))
  return bad === undefined ? undefined : `Connection names ${bad}`
}

/** The headers meant for the other end: lower-case names, without hop-by-hop ones and those `Connection` names (RFC 9110 §7.6.1). */
export function endToEnd(rawHeaders: readonly string[]): Header[] {
  const all = headerPairs(rawHeaders).map(([name, value]) => [name.toLowerCase(), value] as const)
  const dropped = new Set(all.filter(([name]) => name === 'connection').flatMap(([, value]) => nominated(value)))
  return all.filter(([name]) => !hopByHop.has(name) && !name.startsWith('proxy-') && !dropped.has(name))
}

export function headerPairs(rawHeaders: readonly string[]): Header[] {
  const pairs: Header[] = []
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) pairs.push([rawHeaders[at] ?? '', rawHeaders[at + 1] ?? ''])
  return pairs
}

const nominated = (connection: string): string[] =>
  connection
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '')
