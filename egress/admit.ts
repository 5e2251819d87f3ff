import type { DenyReason } from '../contract/egress.ts'
import type { EgressPolicy } from '../contract/sync.ts'
import type { Destination } from '../core/egress-policy.ts'
import type { Flow } from './flows.ts'
import type { Services } from './services.ts'
import { budgetStep } from './steps/budget.ts'
import { policyStep, stillAllowed, type Route } from './steps/policy.ts'
import { boundSecrets, secretsStep, type OpenedSecret } from './steps/secrets.ts'

export type Admitted = { ok: true; policy: EgressPolicy; route: Route } | { ok: false; reason: DenyReason }

/** Steps 2 and 3, policy and budget, in this order for whatever leaves a sandbox. */
export function admit({ audit, flows, limits }: Services, flow: Flow, to: Destination, tls: boolean): Admitted {
  // What cannot be recorded is not allowed.
  if (!audit.ready) return { ok: false, reason: 'rate' }
  if (flow.sandboxId !== null && flows.count(flow.sandboxId) > limits.flowsPerSandbox)
    return { ok: false, reason: 'rate' }
  const { policy } = flow
  const admission = policyStep(policy, to, tls)
  if (admission.action === 'deny') return { ok: false, reason: admission.reason }
  if (policy === undefined) return { ok: false, reason: 'no_policy' }
  const over = budgetStep(policy)
  if (over !== null) return { ok: false, reason: over }
  const { route } = admission
  flow.record.rule = route.rule
  if (route.alias !== null) flow.record.detail['alias'] = route.alias.name
  return { ok: true, policy, route }
}

/** Step 4, for requests that steps 2 and 3 admitted. Undefined: a secret is missing or cannot be opened; the log says why. */
export function openSecrets(
  services: Services,
  flow: Flow,
  policy: EgressPolicy,
  route: Route,
): OpenedSecret[] | undefined {
  const result = secretsStep(policy, route, services.openSecret)
  if (!result.ok) {
    services.log.error({ err: result.cause, name: result.name, sandboxId: flow.sandboxId }, 'secret cannot be used')
    return undefined
  }
  if (result.secrets.length > 0) flow.record.detail['secret'] = result.secrets.map(({ name }) => name).join(', ')
  return result.secrets
}

/** Ends the flow as soon as a change of policy no longer admits it, or takes back a secret it goes with. */
export function watchPolicy(flow: Flow, to: Destination, tls: boolean, route: Route, kill: () => void): void {
  const had = flow.policy && boundSecrets(flow.policy, route)?.map(({ id }) => id)
  flow.watch((policy) => {
    const reason = stillAllowed(policy, to, tls)
    if (reason !== null || policy === undefined) return reason ?? 'no_policy'
    return had?.every((id) => policy.secrets.some((secret) => secret.id === id)) === false ? 'revoked' : null
  }, kill)
}
