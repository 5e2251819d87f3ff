import { createHash } from 'node:crypto'
import { isIPv6 } from 'node:net'
import { tokenBuckets } from '../lib/token-bucket.ts'
import { RateLimited } from './pages.ts'
import type { Visit } from './visit.ts'

export interface Rate {
  burst: number
  perSecond: number
}

/** Sign-in is guessed at by address; everything else is counted by credential, or by address when there is none. */
export interface Rates {
  signIn: Rate
  anonymous: Rate
  known: Rate
}

export const defaultRates: Rates = {
  signIn: { burst: 30, perSecond: 0.5 },
  anonymous: { burst: 400, perSecond: 100 },
  known: { burst: 1000, perSecond: 300 },
}

export interface RateLimiter {
  /** Throws `rate_limited`, with the seconds to wait. */
  assertRate(visit: Visit): void
}

const maxKeys = 50_000

export function rateLimiter(rates: Rates, now: () => number): RateLimiter {
  const buckets = {
    signIn: tokenBuckets({ ...rates.signIn, maxKeys, now }),
    anonymous: tokenBuckets({ ...rates.anonymous, maxKeys, now }),
    known: tokenBuckets({ ...rates.known, maxKeys, now }),
  }
  return {
    assertRate(visit) {
      const { headers, method } = visit.request
      const network = networkOf(visit.address)
      const credential = headers.authorization ?? headers['x-api-key']
      const waits = [
        // A made-up credential must not open a bucket of its own without limit: the address pays as well, at a higher rate.
        credential === undefined
          ? buckets.anonymous.take(network)
          : buckets.known.take(createHash('sha256').update(String(credential)).digest('base64')),
        credential === undefined ? 0 : buckets.known.take(network),
        method === 'POST' && guessable.test(visit.path) ? buckets.signIn.take(network) : 0,
      ]
      const wait = Math.max(...waits)
      if (wait > 0) throw new RateLimited('too many requests', wait)
    },
  }
}

const guessable = /^\/api\/auth\/(?:sign-in|sign-up|forget-password|request-password-reset|reset-password|magic-link)/

/** One IPv6 customer has at least a /64, so that is what counts as one address. */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address
  const [head = '', tail] = address.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - left.length - right.length }, () => '0')
  return [...left, ...zeros, ...right].slice(0, 4).join(':')
}
