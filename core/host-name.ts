import { formatAddress, parseAddress, type Address } from './address-ranges.ts'

/**
 * A host in its one canonical spelling. Made once at the door and used for everything after it (decision, interception,
 * secret, audit, dialling), so that no two places can understand the same bytes differently.
 */
export type Host =
  | { kind: 'name'; text: string }
  /** `text` is canonical; brackets of IPv6 are not part of it. */
  | { kind: 'ip'; text: string; address: Address }

export type HostResult = { ok: true; host: Host } | { ok: false; why: string }

const no = (why: string): HostResult => ({ ok: false, why })

/**
 * Reads the host of an authority, of an SNI or of a DNS question. Whatever some resolver would take for an IPv4 address
 * (`127.1`, `0x7f.1`, `017700000001`, `2130706433`) is one, so that it can never match a rule for names.
 */
export function parseHost(text: string): HostResult {
  if (text === '') return no('is empty')
  if (text.length > 255) return no(`has ${text.length} characters, 253 are allowed`)
  const wrong = /[^\x21-\x7e]/.exec(text)
  if (wrong !== null) return no('has a character that is not visible ASCII')
  if (text.includes('%')) return no('has a percent sign (encoding or zone id)')
  if (text.includes('@')) return no('has user information')
  if (text.includes(':') || text.includes('[') || text.includes(']')) return parseBracketed(text)
  const name = (text.endsWith('.') ? text.slice(0, -1) : text).toLowerCase()
  const labels = name.split('.')
  if (isNumber(labels.at(-1) ?? '')) return parseNumbers(labels)
  if (name.length > 253) return no(`has ${name.length} characters, 253 are allowed`)
  for (const label of labels) {
    if (label === '') return no('has an empty label')
    if (label.length > 63) return no(`has a label of ${label.length} characters, 63 are allowed`)
    if (!/^[a-z0-9_-]+$/.test(label)) return no('has a character that names cannot have')
    if (label.startsWith('-') || label.endsWith('-')) return no('has a label that begins or ends with a hyphen')
  }
  // A second opinion: where the platform's own URL parser reads another host, somebody is being misled.
  if (!URL.canParse(`http://${name}/`) || new URL(`http://${name}/`).hostname !== name)
    return no('is not the same to every parser')
  return { ok: true, host: { kind: 'name', text: name } }
}

/** The host as it stands in an authority: IPv6 in brackets. */
export function hostInAuthority(host: Host): string {
  return host.kind === 'ip' && host.address.family === 6 ? `[${host.text}]` : host.text
}

export type AuthorityResult = { ok: true; host: Host; port: number | null } | { ok: false; why: string }

/** Reads `host` or `host:port` (RFC 9110 §7.2); the port is 1 to 65535 in plain decimal. */
export function parseAuthority(text: string): AuthorityResult {
  const split = /^(\[[^[\]]*\]|[^:[\]]*)(?::(.*))?$/s.exec(text)
  if (split === null) return { ok: false, why: 'is not host or host:port' }
  const [, hostText = '', portText] = split
  const result = parseHost(hostText)
  if (!result.ok) return result
  if (portText === undefined) return { ok: true, host: result.host, port: null }
  const port = /^[1-9]\d{0,4}$/.test(portText) ? Number(portText) : 0
  if (port < 1 || port > 65_535) return { ok: false, why: 'has a port that is not 1 to 65535' }
  return { ok: true, host: result.host, port }
}

const ip = (address: Address): HostResult => ({
  ok: true,
  host: { kind: 'ip', text: formatAddress(address), address },
})

function parseBracketed(text: string): HostResult {
  const inner = /^\[([^[\]]*)\]$/.exec(text)?.[1] ?? text
  if (inner.includes('[') || inner.includes(']')) return no('has brackets that are not around an IPv6 address')
  const address = parseAddress(inner)
  return address?.family === 6 ? ip(address) : no('is not an IPv6 address')
}

const isNumber = (label: string): boolean => /^(\d+|0x[0-9a-f]*)$/.test(label)

/** inet_aton(3): one to four numbers, decimal, octal or hexadecimal; the last one fills the bytes that are left. */
function parseNumbers(labels: readonly string[]): HostResult {
  if (labels.length > 4 || !labels.every(isNumber)) return no('ends in a number but is not an IPv4 address')
  const parts = labels.map(numberOf)
  const last = parts.pop() ?? 0n
  const room = BigInt(8 * (4 - parts.length))
  if (parts.some((part) => part > 255n) || last >= 1n << room || last < 0n)
    return no('ends in a number but is not an IPv4 address')
  const high = parts.reduce((value, part) => value * 256n + part, 0n)
  return ip({ family: 4, value: (high << room) + last })
}

function numberOf(label: string): bigint {
  if (label.startsWith('0x')) return label === '0x' ? 0n : BigInt(label)
  if (!/^0[0-7]+$/.test(label)) return label.startsWith('0') && label.length > 1 ? 1n << 40n : BigInt(label)
  return BigInt(`0o${label.slice(1)}`)
}
