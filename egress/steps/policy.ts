import type { DenyReason } from '../../contract/egress.ts'
import type { EgressPolicy, PolicyAlias } from '../../contract/sync.ts'
import { aliasSuffix, decide, findAlias, type Destination } from '../../core/egress-policy.ts'
import { parseHost, type Host } from '../../core/host-name.ts'

/** Where an admitted request goes, and on whose word. */
export interface Route {
  host: Host
  port: number
  tls: boolean
  /** Put before the request's path; empty but for aliases. */
  pathPrefix: string
  allowReserved: boolean
  rule: string | null
  alias: PolicyAlias | null
}

export type Admission = { action: 'allow'; route: Route } | { action: 'deny'; reason: DenyReason }

/** Step 2: the policy's word on a destination. Aliases are judged before rules and exist for plain HTTP on port 80 only. */
export function policyStep(policy: EgressPolicy | undefined, to: Destination, tls: boolean): Admission {
  if (to.host.kind === 'name' && to.host.text.endsWith(aliasSuffix)) {
    if (policy === undefined) return { action: 'deny', reason: 'no_policy' }
    const alias = tls || to.port !== 80 ? undefined : findAlias(policy, to.host)
    const route = alias && routeOf(alias)
    return route === undefined ? { action: 'deny', reason: 'no_rule' } : { action: 'allow', route }
  }
  const decision = decide(policy, to)
  if (decision.action === 'deny') return decision
  const { id, allowReserved } = decision.rule
  return { action: 'allow', route: { ...to, tls, pathPrefix: '', allowReserved, rule: id, alias: null } }
}

function routeOf(alias: PolicyAlias): Route | undefined {
  if (!URL.canParse(alias.target)) return undefined
  const url = new URL(alias.target)
  const host = parseHost(url.hostname)
  if (!host.ok || !['http:', 'https:'].includes(url.protocol)) return undefined
  const tls = url.protocol === 'https:'
  const port = url.port === '' ? (tls ? 443 : 80) : Number(url.port)
  const pathPrefix = url.pathname.replace(/\/+$/, '')
  return { host: host.host, port, tls, pathPrefix, allowReserved: false, rule: null, alias }
}

/** Why a connection that was admitted may not stay open under the policy as it is now; null: it may. */
export function stillAllowed(policy: EgressPolicy | undefined, to: Destination, tls: boolean): DenyReason | null {
  if (policy?.exhausted === true) return 'budget'
  const admission = policyStep(policy, to, tls)
  return admission.action === 'allow' ? null : policy === undefined ? 'no_policy' : 'revoked'
}
