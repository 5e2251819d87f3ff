/** A public key as SSH carries it. */
export interface PublicKey {
  type: string
  /** Wire form (RFC 4253 §6.6): what a fingerprint is the hash of. */
  blob: Uint8Array
  /** What stood behind it on its line; may be empty. */
  comment: string
}

export type PublicKeyResult = { ok: true; key: PublicKey } | { ok: false; why: string }

/** Least size of an RSA modulus; what OpenSSH itself has refused below since 9.1 is 1024. */
const minRsaBits = 2048
const curves: Readonly<Record<string, { curve: string; pointBytes: number }>> = {
  'ecdsa-sha2-nistp256': { curve: 'nistp256', pointBytes: 65 },
  'ecdsa-sha2-nistp384': { curve: 'nistp384', pointBytes: 97 },
  'ecdsa-sha2-nistp521': { curve: 'nistp521', pointBytes: 133 },
}
export const publicKeyTypes: readonly string[] = ['ssh-ed25519', ...Object.keys(curves), 'ssh-rsa']

const no = (why: string): PublicKeyResult => ({ ok: false, why })

/**
 * Reads one line of a `.pub` file. `why` completes "the key …" and never repeats the text: it may be a private key that
 * somebody pasted by mistake.
 */
export function parsePublicKey(text: string): PublicKeyResult {
  if (text.includes('PRIVATE KEY')) return no('is a private key, which belongs nowhere but on its own machine')
  if (/[\r\n]/.test(text.trim())) return no('has more than one line')
  const [, type, base64, comment = ''] = /^(\S+)[ \t]+(\S+)(?:[ \t]+(.*))?$/.exec(text.trim()) ?? []
  if (type === undefined || base64 === undefined) return no('is not a type and base64, as `ssh-ed25519 AAAA…`')
  if (!publicKeyTypes.includes(type)) return no(`must begin with one of ${publicKeyTypes.join(', ')}`)
  const blob = decode(base64)
  if (blob === undefined) return no('has something behind its type that is not base64')
  const fields = readFields(blob)
  if (fields === undefined) return no('is cut off or has something behind its end')
  const [name, ...rest] = fields
  if (name === undefined || textOf(name) !== type) return no(`calls itself ${type} outside and something else inside`)
  const why = fault(type, rest)
  return why === undefined ? { ok: true, key: { type, blob, comment: comment.trim() } } : no(why)
}

/** Fields by type: RFC 8709 §4, RFC 5656 §3.1, RFC 4253 §6.6. */
function fault(type: string, fields: readonly Uint8Array[]): string | undefined {
  const [first, second, more] = fields
  if (type === 'ssh-ed25519')
    return fields.length === 1 && first?.length === 32 ? undefined : 'has no 32 bytes of point'
  const curve = curves[type]
  if (first === undefined || second === undefined || more !== undefined) return 'has not the fields of its type'
  if (curve !== undefined) {
    if (textOf(first) !== curve.curve) return `is not on the curve ${curve.curve}`
    // 4: the point is written in full (SEC 1 §2.3.3); RFC 5656 §3.1 lets implementations refuse the short form.
    return second.length === curve.pointBytes && second[0] === 4 ? undefined : 'has a malformed point'
  }
  const bits = bitsOf(second)
  return bits < minRsaBits ? `is RSA of ${bits} bits, at least ${minRsaBits} are needed` : undefined
}

/** Length of a positive mpint (RFC 4251 §5), leading zeros apart. */
function bitsOf(number: Uint8Array): number {
  const start = number.findIndex((byte) => byte !== 0)
  return start === -1 ? 0 : (number.length - start) * 8 - Math.clz32(number[start] ?? 0) + 24
}

/** The strings a blob consists of, each with four bytes of length; undefined when they do not fill it exactly. */
function readFields(blob: Uint8Array): Uint8Array[] | undefined {
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength)
  const fields: Uint8Array[] = []
  for (let at = 0; at < blob.length;) {
    if (at + 4 > blob.length) return undefined
    const end = at + 4 + view.getUint32(at)
    if (end > blob.length) return undefined
    fields.push(blob.subarray(at + 4, end))
    at = end
  }
  return fields
}

function decode(base64: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64) || base64.length % 4 !== 0) return undefined
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
}

const textOf = (bytes: Uint8Array): string => String.fromCharCode(...bytes)
