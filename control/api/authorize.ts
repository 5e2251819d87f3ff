import { SlopboxError } from '../../contract/errors.ts'
import { authorize } from '../../contract/sync.ts'
import type { Input, Output } from '../../contract/route.ts'
import { nextStep, whyNot } from '../../core/sandbox-state.ts'
import { mountAs } from '../../lib/mount.ts'
import type { App } from '../../lib/mount.ts'
import type { Caller, Callers } from '../auth/caller.ts'
import { internalOnly } from '../auth/internal.ts'
import type { InternalTokens } from '../auth/internal.ts'
import { runtimeOf } from '../runtimes/all.ts'
import { findAgent } from '../store/agents.ts'
import type { AgentRow, SandboxRow } from '../store/agents.ts'
import type { Db } from '../store/db.ts'
import { ensureGrant } from '../store/grants.ts'
import { findSandbox } from '../store/sandboxes.ts'
import { findSshHolders, touchSshKey } from '../store/ssh-keys.ts'
import type { SshHolder } from '../store/ssh-keys.ts'

export interface AuthorizeDeps {
  db: Db
  callers: Pick<Callers, 'fromCredentials' | 'fromSession'>
  internalTokens: InternalTokens
}

/** The gateway's question before it dials anything. Unknown and foreign targets answer alike. */
export function mountAuthorize(app: App<Caller>, deps: AuthorizeDeps): void {
  mountAs(app, authorize, internalOnly(deps.internalTokens, 'gateway'), async ({ body }) => {
    const { sessionId, sshKey, ...credentials } = body.credentials
    if (sshKey !== undefined)
      return await firstFound(await findSshHolders(deps.db, sshKey), (holder) => grant(deps.db, holder, body.target))
    const caller =
      sessionId === undefined
        ? await deps.callers.fromCredentials(credentials)
        : await deps.callers.fromSession(sessionId)
    return await grant(deps.db, caller, body.target)
  })
}

/** Who gets a grant: a caller of the API, or somebody with a registered SSH key. */
interface Holder {
  user: { id: string }
  team: { id: string }
  sessionId: string | null
  key: { id: string } | null
  sshKeyId?: string
}

/** What the first of them may reach. A key nobody registered and one whose people may not reach it answer alike. */
async function firstFound<T>(holders: readonly SshHolder[], ask: (holder: Holder) => Promise<T>): Promise<T> {
  for (const { keyId, userId, teamId } of holders) {
    try {
      return await ask({ user: { id: userId }, team: { id: teamId }, sessionId: null, key: null, sshKeyId: keyId })
    } catch (error) {
      if (!(error instanceof SlopboxError) || error.code !== 'not_found') throw error
    }
  }
  throw new SlopboxError('not_found', 'nothing of this name is open to this key')
}

type Target = Input<typeof authorize>['body']['target']

async function grant(db: Db, caller: Holder, target: Target): Promise<Output<typeof authorize>> {
  const { agent, sandbox } = await findTarget(db, caller.team.id, target)
  if (sandbox === null)
    throw new SlopboxError('wrong_state', `agent ${agent?.id ?? ''} has no sandbox`, {
      hint: 'Give it one and start it first.',
    })
  const state = sandbox.desired === 'running' ? sandbox.state : 'stopped'
  const reason = whyNot('reach', state)
  if (reason !== undefined || sandbox.host_id === null)
    throw new SlopboxError('wrong_state', reason ?? `sandbox ${sandbox.id} is on no host`, {
      hint: nextStep('reach', state),
    })
  const grantId = await ensureGrant(db, {
    teamId: caller.team.id,
    userId: caller.user.id,
    sessionId: caller.sessionId,
    keyId: caller.key?.id ?? null,
    sshKeyId: caller.sshKeyId ?? null,
    agentId: agent?.id ?? null,
    sandboxId: sandbox.id,
  })
  if (caller.sshKeyId !== undefined) await touchSshKey(db, caller.sshKeyId)
  const ui =
    agent !== null && target.kind === 'agent-ui' ? runtimeOf(agent.runtime).uiAccess(caller.user.id) : undefined
  return {
    grantId,
    userId: caller.user.id,
    sessionId: caller.sessionId,
    sandboxId: sandbox.id,
    agentId: agent?.id ?? sandbox.agent_id,
    hostId: sandbox.host_id,
    runtime: agent?.runtime ?? null,
    port: ui?.port ?? null,
    headers: ui?.headers ?? {},
  }
}

async function findTarget(
  db: Db,
  teamId: string,
  target: Target,
): Promise<{ agent: AgentRow | null; sandbox: SandboxRow | null }> {
  if (target.kind === 'sandbox') {
    const sandbox = await findSandbox(db, teamId, target.sandboxId)
    if (sandbox === undefined || sandbox.state === 'destroyed')
      throw new SlopboxError('not_found', `no sandbox ${target.sandboxId}`)
    return { agent: null, sandbox }
  }
  const found = await findAgent(db, teamId, target.agentId)
  if (found === undefined) throw new SlopboxError('not_found', `no agent ${target.agentId}`)
  return found
}
