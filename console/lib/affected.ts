import type { Change } from '../../contract/events.ts'

/** Which routes' answers may differ after a change of a noun, by the beginning of the route's id. */
const reach: Record<string, readonly string[]> = {
  agent: ['agents.'],
  sandbox: ['agents.', 'sandboxes.', 'hosts.'],
  template: ['templates.', 'agents.get'],
  host: ['hosts.', 'agents.'],
  rule: ['egress.'],
  egress: ['egress.', 'audit.'],
  audit: ['audit.'],
  secret: ['secrets.'],
  usage: ['usage.', 'agents.usage'],
  budget: ['usage.', 'agents.'],
  plan: ['plans.', 'usage.'],
  key: ['keys.'],
  settings: ['admin.settings.', 'auth.'],
  user: ['admin.users.', 'me.'],
}

/** Whether an answer kept under `key` (route id, params, …) has to be asked for again after `change`. */
export function isAffected(change: Pick<Change, 'kind' | 'agentId'>, key: readonly unknown[]): boolean {
  const [route, params] = key
  if (typeof route !== 'string') return false
  // Connected (again): whatever happened meanwhile was missed.
  if (change.kind === 'stream.open') return true
  const noun = change.kind.split('.')[0] ?? ''
  if (reach[noun]?.some((beginning) => route.startsWith(beginning)) !== true) return false
  if (change.agentId === null || !route.startsWith('agents.')) return true
  const of = typeof params === 'object' && params !== null && 'id' in params ? params.id : undefined
  return of === undefined || of === change.agentId
}
