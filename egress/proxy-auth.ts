import { createHash, timingSafeEqual } from 'node:crypto'
import type { Policies } from './policies.ts'
import type { Who } from './services.ts'

export type ProxyIdentity = { ok: true; who: Who } | { ok: false; status: 407 | 429 }

/** Answers who a request on the central listener is from, by `Basic {agentId}:{token}` (RFC 7617). */
export type ProxyAuth = (header: string | undefined, remoteAddress: string) => ProxyIdentity

const perMinute = 20
const nobody = Buffer.alloc(32)

/** Wrong credentials are counted by address, so that tokens cannot be guessed; their absence is not (git asks first). */
export function createProxyAuth(policies: Policies): ProxyAuth {
  let failures = new Map<string, number>()
  let windowEnds = 0
  return (header, remoteAddress) => {
    if (performance.now() >= windowEnds) {
      failures = new Map()
      windowEnds = performance.now() + 60_000
    }
    if (header === undefined) return { ok: false, status: 407 }
    if ((failures.get(remoteAddress) ?? 0) >= perMinute) return { ok: false, status: 429 }
    const encoded = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header)?.[1] ?? ''
    const [agentId = '', ...rest] = Buffer.from(encoded, 'base64').toString('utf8').split(':')
    const hash = createHash('sha256').update(rest.join(':')).digest()
    const candidates = policies.byAgent(agentId).filter(({ proxyTokenHash }) => proxyTokenHash !== null)
    // Compared even for unknown agents, so that the time says nothing.
    const found = [...candidates, undefined].filter((policy) => {
      const expected = policy === undefined ? nobody : Buffer.from(policy.proxyTokenHash ?? '', 'hex')
      return expected.length === hash.length && timingSafeEqual(expected, hash)
    })[0]
    if (found !== undefined) return { ok: true, who: { sandboxId: found.sandboxId, token: hash.toString('hex') } }
    failures.set(remoteAddress, (failures.get(remoteAddress) ?? 0) + 1)
    return { ok: false, status: 407 }
  }
}
