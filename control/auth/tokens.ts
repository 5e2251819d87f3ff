import { createHash, createHmac, randomInt, timingSafeEqual } from 'node:crypto'

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** Random characters of `[0-9A-Za-z]`, about 5.95 bits each. */
export function randomText(length: number): string {
  return Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('')
}

/** A new API key, `slop_` and 40 characters. Only its hash is kept. */
export function newApiKey(): string {
  return `slop_${randomText(40)}`
}

export function isApiKey(text: string): boolean {
  return /^slop_[0-9A-Za-z]{40}$/.test(text)
}

/** Tokens of this strength need no slow hash: they cannot be guessed from it. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}

/** Compares without telling by its duration where the texts differ. */
export function sameText(left: string, right: string): boolean {
  return timingSafeEqual(createHash('sha256').update(left).digest(), createHash('sha256').update(right).digest())
}

/** The auth library's signed cookie: the value, a dot and its HMAC-SHA-256 in base64, percent-encoded. */
export function signCookie(value: string, secret: string): string {
  return encodeURIComponent(`${value}.${createHmac('sha256', secret).update(value).digest('base64')}`)
}

/** The value of a signed cookie; undefined when it is missing or was not signed by us. */
export function readSignedCookie(header: string, name: string, secret: string): string | undefined {
  for (const pair of header.split(';')) {
    const at = pair.indexOf('=')
    if (at === -1 || pair.slice(0, at).trim() !== name) continue
    const signed = decode(pair.slice(at + 1).trim())
    const value = signed.slice(0, Math.max(0, signed.lastIndexOf('.')))
    if (value !== '' && sameText(encodeURIComponent(signed), signCookie(value, secret))) return value
  }
  return undefined
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}
