import { parseAuthority, parseHost, type Host } from '../core/host-name.ts'
import { plainName, type Headers } from './steps/secrets.ts'

/** The parts of a request that Node's parser hands over; `rawHeaders` because `headers` hides duplicates. */
export interface RawRequest {
  method?: string | undefined
  url?: string | undefined
  httpVersion: string
  rawHeaders: readonly string[]
}

export interface CleanRequest {
  method: string
  host: Host
  port: number | null
  /** Path and query in origin-form. */
  path: string
  /** End-to-end headers only: no Host, nothing of the hop, no `Proxy-*`. */
  headers: Headers
  /** Bytes of the body when the client said; null: chunked; 0: none. */
  bodyBytes: number | null
}

export type GateResult =
  | { ok: true; request: CleanRequest }
  | { ok: false; reason: 'bad_request' | 'bad_host' | 'method_blocked'; why: string }

const no = (why: string): GateResult => ({ ok: false, reason: 'bad_request', why })

const methods = new Set(
  'GET HEAD POST PUT PATCH DELETE OPTIONS QUERY PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH'.split(
    ' ',
  ),
)
const hopByHop = new Set(
  `connection keep-alive proxy-connection proxy-authorization proxy-authenticate proxy-authentication-info te trailer
   transfer-encoding upgrade http2-settings expect host`
    .trim()
    .split(/\s+/),
)
/** Framing or identity depends on these, so no look-alike with `_` or `.` may pass beside them. */
const guarded = new Set([...hopByHop, 'content-length', 'authorization', 'cookie', 'forwarded'])

/**
 * What Node's parser lets through and a later parser might read differently stops here (RFC 9112 §3, §6, §11). `form` is
 * the request-target this listener expects: `origin` behind a redirect or in a tunnel, `absolute` on the proxy.
 */
export function checkRequest(raw: RawRequest, form: 'origin' | 'absolute'): GateResult {
  const method = raw.method ?? ''
  if (!methods.has(method))
    return { ok: false, reason: 'method_blocked', why: `method ${method.slice(0, 20)} is not passed on` }
  if (raw.httpVersion !== '1.1' && raw.httpVersion !== '1.0') return no(`HTTP version ${raw.httpVersion}`)
  const headers = pairs(raw.rawHeaders)
  const hosts = headers.filter(([name]) => name.toLowerCase() === 'host')
  const [host] = hosts
  if (host === undefined || hosts.length > 1) return no(`${hosts.length} Host headers, exactly one is needed`)
  const framing = checkFraming(headers, method)
  if (typeof framing === 'string') return no(framing)
  const target = splitTarget(raw.url ?? '', form)
  if (target === undefined) return no(`request target is not in ${form}-form`)
  const authority = parseAuthority(host[1])
  if (!authority.ok) return { ok: false, reason: 'bad_host', why: `Host ${authority.why}` }
  if (target.authority !== null) {
    const named = parseAuthority(target.authority)
    if (!named.ok) return { ok: false, reason: 'bad_host', why: `host of the request target ${named.why}` }
    if (named.host.text !== authority.host.text || (named.port ?? 80) !== (authority.port ?? 80))
      return no('Host and request target differ')
  }
  const request = { method, host: authority.host, port: authority.port, path: target.path }
  return { ok: true, request: { ...request, headers: endToEnd(headers), bodyBytes: framing.bodyBytes } }
}

/** Target of CONNECT: `host:port` and nothing else (RFC 9110 §9.3.6). */
export function checkConnect(raw: RawRequest): { ok: true; host: Host; port: number } | { ok: false; why: string } {
  const text = raw.url ?? ''
  const authority = parseAuthority(text)
  if (!authority.ok) return authority
  if (authority.port === null) return { ok: false, why: 'has no port' }
  const hosts = pairs(raw.rawHeaders).filter(([name]) => name.toLowerCase() === 'host')
  if (hosts.length > 1) return { ok: false, why: 'comes with two Host headers' }
  const said = hosts[0] && parseAuthority(hosts[0][1])
  // Some clients repeat the authority, some leave the port out; another host is a contradiction.
  if (said !== undefined && (!said.ok || said.host.text !== authority.host.text))
    return { ok: false, why: 'and the Host header differ' }
  return { ok: true, host: authority.host, port: authority.port }
}

/** The name in a ClientHello; an address has no place there (RFC 6066 §3). */
export function checkSni(sni: string | null): Host | undefined {
  if (sni === null) return undefined
  const parsed = parseHost(sni)
  return parsed.ok && parsed.host.kind === 'name' ? parsed.host : undefined
}

function pairs(raw: readonly string[]): Headers {
  const headers: Headers = []
  for (let i = 0; i + 1 < raw.length; i += 2) headers.push([raw[i] ?? '', raw[i + 1] ?? ''])
  return headers
}

function checkFraming(headers: Headers, method: string): { bodyBytes: number | null } | string {
  const values = (wanted: string): string[] =>
    headers.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value)
  for (const [name, value] of headers) {
    const plain = plainName(name).replaceAll('.', '-')
    if (plain !== name.toLowerCase() && guarded.has(plain)) return `header ${name} looks like ${plain}`
    if (/[\0\r\n]/.test(value)) return `header ${name} has a control character`
  }
  const lengths = values('content-length')
  const codings = values('transfer-encoding')
  if (lengths.length > 1) return 'two Content-Length headers'
  if (codings.length > 1 || (codings[0] !== undefined && codings[0].toLowerCase() !== 'chunked'))
    return 'Transfer-Encoding is not exactly chunked'
  if (lengths.length > 0 && codings.length > 0) return 'both Content-Length and Transfer-Encoding'
  const [length] = lengths
  if (length !== undefined && !/^(0|[1-9]\d{0,15})$/.test(length)) return 'Content-Length is not a number'
  for (const value of values('connection'))
    if (/(^|[\s,])(host|content-length|authorization|cookie)($|[\s,])/i.test(value))
      return 'Connection names a header of the message'
  if (codings.length > 0 && method === 'HEAD') return 'HEAD with a body'
  return { bodyBytes: codings.length > 0 ? null : Number(length ?? 0) }
}

function splitTarget(url: string, form: 'origin' | 'absolute'): { authority: string | null; path: string } | undefined {
  if (/[^\x21-\x7e]|#/.test(url)) return undefined
  if (form === 'origin') return url.startsWith('/') ? { authority: null, path: url } : undefined
  const match = /^http:\/\/([^/?\\]+)([/?].*)?$/i.exec(url)
  if (match === null) return undefined
  const [, authority = '', rest = '/'] = match
  return { authority, path: rest.startsWith('?') ? `/${rest}` : rest }
}

function endToEnd(headers: Headers): Headers {
  const nominated = new Set(
    headers
      .filter(([name]) => name.toLowerCase() === 'connection')
      .flatMap(([, value]) => value.split(',').map((name) => name.trim().toLowerCase())),
  )
  return headers.filter(([name]) => {
    const lower = name.toLowerCase()
    return !hopByHop.has(lower) && !nominated.has(lower) && !lower.startsWith('proxy-')
  })
}

/** The same for an answer on its way back. */
export function endToEndResponse(raw: readonly string[]): Headers {
  return endToEnd(pairs(raw)).filter(([name]) => !/^(alt-svc|proxy-.*)$/i.test(name))
}
