/**
 * Which IP addresses a sandbox may never be connected to. The refused ranges are the special-purpose registries of IANA
 * (RFC 6890 and its updates); an IPv6 address that carries an IPv4 address is judged by the address it carries.
 */
export interface Address {
  family: 4 | 6
  value: bigint
}
export interface Range {
  family: 4 | 6
  first: bigint
  last: bigint
}

export type Verdict =
  | { action: 'allow'; because: 'public' | 'allowed' }
  /** `range` names what the address belongs to, for the log; it is not for the sandbox's eyes. */
  | { action: 'refuse'; range: string }

export interface Surroundings {
  /** The operator's own ranges: they win over everything below. */
  allowed: readonly Range[]
  /** Addresses of this machine and of other parts of the system. */
  own: readonly Address[]
}

/** Judges an address as it came out of name resolution, or as it was written in a rule. */
export function classifyAddress(address: Address, around: Surroundings): Verdict {
  const carried = embeddedIPv4(address)
  const judged = carried ?? address
  if (around.allowed.some((range) => contains(range, address) || contains(range, judged)))
    return { action: 'allow', because: 'allowed' }
  if (around.own.some((own) => same(own, address) || same(own, judged))) return { action: 'refuse', range: 'own' }
  const refused = refusedRanges.find(({ range }) => contains(range, judged))
  if (refused !== undefined) return { action: 'refuse', range: refused.name }
  // Everything outside 2000::/3 is unassigned or special (RFC 4291 §2.4).
  if (judged.family === 6 && judged.value >> 125n !== 1n) return { action: 'refuse', range: 'not global unicast' }
  return { action: 'allow', because: 'public' }
}

/** Reads dotted decimal IPv4 (four numbers, no leading zeros) or IPv6 without brackets and zone. */
export function parseAddress(text: string): Address | undefined {
  if (!text.includes(':')) {
    const value = parseDotted(text)
    return value === undefined ? undefined : { family: 4, value }
  }
  const value = parseIPv6(text)
  return value === undefined ? undefined : { family: 6, value }
}

/** Reads `address/bits`, or one address. The bits below the prefix must be zero, so that a typing error is noticed. */
export function parseRange(text: string): Range | undefined {
  const [base, length, ...rest] = text.split('/')
  const address = parseAddress(base ?? '')
  if (address === undefined || rest.length > 0) return undefined
  const width = address.family === 4 ? 32 : 128
  if (length !== undefined && !/^(0|[1-9]\d{0,2})$/.test(length)) return undefined
  const bits = length === undefined ? width : Number(length)
  if (bits > width) return undefined
  const size = 1n << BigInt(width - bits)
  if (address.value % size !== 0n) return undefined
  return { family: address.family, first: address.value, last: address.value + size - 1n }
}

/** Canonical text: dotted decimal, or RFC 5952 without the mixed notation. */
export function formatAddress({ family, value }: Address): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join('.')
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16))
  let best = { start: -1, length: 1 }
  for (let start = 0; start < 8; start++) {
    let length = 0
    while (groups[start + length] === '0') length++
    if (length > best.length) best = { start, length }
  }
  if (best.start < 0) return groups.join(':')
  return `${groups.slice(0, best.start).join(':')}::${groups.slice(best.start + best.length).join(':')}`
}

const contains = (range: Range, address: Address): boolean =>
  range.family === address.family && range.first <= address.value && address.value <= range.last
const same = (a: Address, b: Address): boolean => a.family === b.family && a.value === b.value

function range(text: string): Range {
  const parsed = parseRange(text)
  if (parsed === undefined) throw new Error(`not a range: ${text}`)
  return parsed
}

const refusedRanges = [
  ['0.0.0.0/8', 'this network'],
  ['10.0.0.0/8', 'private'],
  ['100.64.0.0/10', 'carrier-grade NAT'],
  ['127.0.0.0/8', 'loopback'],
  ['168.63.129.16', 'cloud metadata'],
  ['169.254.0.0/16', 'link-local'],
  ['172.16.0.0/12', 'private'],
  ['192.0.0.0/24', 'protocol assignments'],
  ['192.0.2.0/24', 'documentation'],
  ['192.88.99.0/24', '6to4 relay'],
  ['192.168.0.0/16', 'private'],
  ['198.18.0.0/15', 'benchmarking'],
  ['198.51.100.0/24', 'documentation'],
  ['203.0.113.0/24', 'documentation'],
  ['224.0.0.0/4', 'multicast'],
  ['240.0.0.0/4', 'reserved'],
  ['::/128', 'unspecified'],
  ['::1/128', 'loopback'],
  ['::/96', 'IPv4-compatible'],
  ['64:ff9b:1::/48', 'local-use NAT64'],
  ['100::/64', 'discard'],
  // Teredo (2001::/32) and the rest of the protocol assignments, RFC 2928.
  ['2001::/23', 'protocol assignments'],
  ['2001:db8::/32', 'documentation'],
  ['3fff::/20', 'documentation'],
  ['5f00::/16', 'segment routing'],
  ['fc00::/7', 'unique local'],
  ['fe80::/10', 'link-local'],
  ['fec0::/10', 'site-local'],
  ['ff00::/8', 'multicast'],
].map(([text = '', name = '']) => ({ range: range(text), name }))

/** Prefixes that carry an IPv4 address, and how far right of it the address ends: mapped, translated, NAT64, 6to4. */
const carriers = [
  { range: range('::ffff:0:0/96'), shift: 0n },
  { range: range('::ffff:0:0:0/96'), shift: 0n },
  { range: range('64:ff9b::/96'), shift: 0n },
  { range: range('2002::/16'), shift: 80n },
]

function embeddedIPv4(address: Address): Address | undefined {
  const carrier = carriers.find((candidate) => contains(candidate.range, address))
  return carrier && { family: 4, value: (address.value >> carrier.shift) & 0xffffffffn }
}

function parseDotted(text: string): bigint | undefined {
  if (!/^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/.test(text)) return undefined
  const parts = text.split('.').map(Number)
  if (parts.some((part) => part > 255)) return undefined
  return parts.reduce((value, part) => value * 256n + BigInt(part), 0n)
}

function parseIPv6(text: string): bigint | undefined {
  if (!/^[0-9a-fA-F:.]{2,45}$/.test(text)) return undefined
  const [head = '', tail, ...rest] = text.split('::')
  if (rest.length > 0) return undefined
  const left = groupsOf(head, tail === undefined)
  const right = tail === undefined ? [] : groupsOf(tail, true)
  if (left === undefined || right === undefined) return undefined
  const missing = 8 - left.length - right.length
  // `::` stands for at least one group; without it there must be exactly eight.
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined
  const groups = [...left, ...Array<number>(missing).fill(0), ...right]
  return groups.reduce((value, group) => value * 65536n + BigInt(group), 0n)
}

function groupsOf(text: string, mayEndDotted: boolean): number[] | undefined {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (const [index, part] of parts.entries()) {
    if (part.includes('.')) {
      const value = parseDotted(part)
      if (value === undefined || !mayEndDotted || index !== parts.length - 1) return undefined
      groups.push(Number(value >> 16n), Number(value & 0xffffn))
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16))
    else return undefined
  }
  return groups
}
