import { createProxyToken, deleteProxyToken } from '../../contract/agents.ts'
import type { ProxyToken } from '../../contract/agents.ts'
import { mount } from '../../lib/mount.ts'
import type { App } from '../../lib/mount.ts'
import { actorOf } from '../auth/caller.ts'
import type { Caller } from '../auth/caller.ts'
import { hashToken, randomText } from '../auth/tokens.ts'
import { lockAgent, setProxyToken } from '../store/agents.ts'
import { auditAct } from '../store/audit.ts'
import type { Db } from '../store/db.ts'
import { insertEvents } from '../store/events.ts'
import type { Wake } from '../wake.ts'
import { refuseDeleted, unknownAgent } from './agents.ts'

export interface ProxyTokenDeps {
  db: Db
  wake: Wake
  clock: () => Date
  /** Where machines elsewhere reach the forward proxy; null: it is off. */
  proxyUrl: string | null
}

/** The token by which an agent's machines elsewhere prove themselves to the forward proxy. */
export function mountAgentProxyToken(app: App<Caller>, deps: ProxyTokenDeps): void {
  mount(app, createProxyToken, async ({ caller, params }) => {
    const token = randomText(40)
    await change(deps, caller, params.id, token)
    return answer(deps, params.id, token)
  })
  mount(app, deleteProxyToken, async ({ caller, params }) => {
    await change(deps, caller, params.id, null)
    return { ok: true as const }
  })
}

/** Sets or takes away the token. Taking away what is not there changes nothing and is written nowhere. */
async function change(deps: ProxyTokenDeps, caller: Caller, id: string, token: string | null): Promise<void> {
  const teamId = caller.team.id
  const changed = await deps.db.transaction().execute(async (tx) => {
    const found = await lockAgent(tx, teamId, id)
    if (found === undefined) throw unknownAgent(id)
    const { agent, sandbox } = found
    const had = agent.proxy_token_hash !== null
    if (token === null && !had) return false
    if (token !== null) refuseDeleted(found)
    await setProxyToken(tx, id, token === null ? null : { hash: hashToken(token), at: deps.clock() })
    const done = token === null ? 'revoked' : had ? 'replaced' : 'created'
    const sandboxId = sandbox?.id ?? null
    await insertEvents(tx, [
      {
        teamId,
        agentId: id,
        sandboxId,
        kind: `proxyToken.${done}`,
        message: `token for machines elsewhere ${done} by ${caller.user.name}`,
        state: sandbox?.state ?? null,
      },
    ])
    const operation = token === null ? deleteProxyToken.id : createProxyToken.id
    await auditAct(tx, actorOf(caller), operation, { done }, { agentId: id, sandboxId })
    return true
  })
  if (!changed) return
  deps.wake.egress()
  deps.wake.changed(teamId, { kind: 'agent.updated', agentId: id })
}

/** The token needs no escaping: it is of `[0-9A-Za-z]`. */
function answer({ proxyUrl }: ProxyTokenDeps, username: string, token: string): ProxyToken {
  if (proxyUrl === null) return { token, username, proxyUrl }
  const url = new URL(proxyUrl)
  return { token, username, proxyUrl: `${url.protocol}//${username}:${token}@${url.host}` }
}
