import { createHmac, randomBytes } from 'node:crypto'
import { z } from 'zod'
import { sameSecret } from './tunnels.ts'

/**
 * How a signed-in person gets from the app's origin to one that strangers' pages live on: the app gives a token that
 * works once, soon and on that one origin; the origin turns it into its own cookie. Neither is worth anything elsewhere.
 */
export interface Handover {
  /** A token for one opening of `place` (an agent id, or `{port}-{sandboxId}`) under a session. */
  issue(place: string, sessionId: string): string
  /** The session the token stands for; undefined when it is forged, late, used before, or for another place. */
  redeem(token: string, place: string): string | undefined
  /** Value of the origin's cookie. */
  seal(place: string, sessionId: string): string
  /** The session in a cookie's value; undefined when it is forged, late, or for another place. */
  unseal(value: string, place: string): string | undefined
}

const tokenMs = 60_000
export const cookieMs = 12 * 3_600_000

const Claims = z.strictObject({
  place: z.string(),
  sessionId: z.string(),
  expiresAt: z.number(),
  nonce: z.string(),
  issuer: z.string(),
})

/** `now` is wall-clock milliseconds: cookies outlive this process. */
export function handover(key: Buffer, now: () => number): Handover {
  // Used tokens are remembered in memory only, so a token of an earlier process is refused by its issuer.
  const issuer = randomBytes(12).toString('base64url')
  const used = new Map<string, number>()
  const make = (purpose: string, place: string, sessionId: string, forMs: number): string =>
    sign(key, purpose, {
      place,
      sessionId,
      expiresAt: now() + forMs,
      nonce: randomBytes(16).toString('base64url'),
      issuer,
    })
  const read = (purpose: string, text: string, place: string): z.infer<typeof Claims> | undefined => {
    const claims = verify(key, purpose, text)
    return claims?.place === place && claims.expiresAt > now() ? claims : undefined
  }
  return {
    issue: (place, sessionId) => make('token', place, sessionId, tokenMs),
    redeem(token, place) {
      for (const [nonce, expiresAt] of used) if (expiresAt <= now()) used.delete(nonce)
      const claims = read('token', token, place)
      if (claims === undefined || claims.issuer !== issuer || used.has(claims.nonce)) return undefined
      used.set(claims.nonce, claims.expiresAt)
      return claims.sessionId
    },
    seal: (place, sessionId) => make('cookie', place, sessionId, cookieMs),
    unseal: (value, place) => read('cookie', value, place)?.sessionId,
  }
}

function sign(key: Buffer, purpose: string, claims: z.infer<typeof Claims>): string {
  const text = Buffer.from(JSON.stringify(claims)).toString('base64url')
  return `${text}.${mac(key, purpose, text)}`
}

function verify(key: Buffer, purpose: string, signed: string): z.infer<typeof Claims> | undefined {
  const [text, code, rest] = signed.length > 2048 ? [] : signed.split('.')
  if (text === undefined || code === undefined || rest !== undefined) return undefined
  if (!sameSecret(code, mac(key, purpose, text))) return undefined
  return Claims.parse(JSON.parse(Buffer.from(text, 'base64url').toString('utf8')))
}

/** The purpose is part of what is signed: a token is not a cookie. */
const mac = (key: Buffer, purpose: string, text: string): string =>
  createHmac('sha256', key).update(`${purpose}\n${text}`).digest('base64url')

/** Over TLS the prefix makes browsers refuse a copy set by another origin (RFC 6265bis §4.1.3.2); plain HTTP cannot have it. */
export const cookieName = (secure: boolean): string => (secure ? '__Host-slopbox-visit' : 'slopbox-visit')

export function setCookie(value: string, secure: boolean): string {
  const life = `Max-Age=${cookieMs / 1000}; Path=/; HttpOnly; SameSite=Lax`
  return `${cookieName(secure)}=${value}; ${life}${secure ? '; Secure' : ''}`
}

/** The first cookie of that name; undefined when there is none. */
export function readCookie(header: string | undefined, name: string): string | undefined {
  return parts(header)
    .find((part) => part.startsWith(`${name}=`))
    ?.slice(name.length + 1)
}

/** The header without the gateway's own cookies, which no page behind it may see; undefined when nothing is left. */
export function withoutOwnCookies(header: string | undefined): string | undefined {
  const own = [cookieName(true), cookieName(false)]
  const left = parts(header).filter((part) => !own.includes(part.split('=', 1)[0]?.trim() ?? ''))
  return left.length === 0 ? undefined : left.join('; ')
}

/** A page behind the gateway may keep cookies, but for its own host alone and not in the gateway's name. */
export function safeSetCookie(value: string): string | undefined {
  const [pair = '', ...attributes] = value.split(';')
  const name = pair.split('=', 1)[0]?.trim().toLowerCase() ?? ''
  if (name === '' || name.endsWith('slopbox-visit')) return undefined
  return [pair, ...attributes.filter((attribute) => !/^\s*domain\s*=/i.test(attribute))].join(';')
}

const parts = (header: string | undefined): string[] =>
  (header ?? '')
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part !== '')
