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
import { insertEvents } from '../store/events.ts'
import { findSandbox, lockSandbox } from '../store/sandboxes.ts'
import { findSshHolders, touchSshKey } from '../store/ssh-keys.ts'
import type { SshHolder } from '../store/ssh-keys.ts'
import type { Wake } from '../wake.ts'
import { resume, untilObeyed } from './sandbox-time.ts'
import { announce } from './sandboxes.ts'

export interface AuthorizeDeps {
  db: Db
  callers: Pick<Callers, 'fromCredentials' | 'fromSession'>
  internalTokens: InternalTokens
  wake: Wake
  clock: () => Date
}

/** The gateway's question before it dials anything. Unknown and foreign targets answer alike. */
export function mountAuthorize(app: App<Caller>, deps: AuthorizeDeps): void {
  mountAs(app, authorize, internalOnly(deps.internalTokens, 'gateway'), async ({ body, signal }) => {
    const { sessionId, sshKey, ...credentials } = body.credentials
    if (sshKey !== undefined)
      return await firstFound(await findSshHolders(deps.db, sshKey), (holder) =>
        grant(deps, holder, body.target, signal),
      )
    const caller =
      sessionId === undefined
        ? await deps.callers.fromCredentials(credentials)
        : await deps.callers.fromSession(sessionId)
    return await grant(deps, caller, body.target, signal)
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

async function grant(
  deps: AuthorizeDeps,
  caller: Holder,
  target: Target,
  signal: AbortSignal,
): Promise<Output<typeof authorize>> {
  const { db } = deps
  const found = await findTarget(db, caller.team.id, target)
  const { agent } = found
  const sandbox = found.sandbox?.wake_on_traffic === true ? await awake(deps, found.sandbox, signal) : found.sandbox
  if (sandbox === null)
    throw new SlopboxError('wrong_state', `agent ${agent?.id ?? ''} has no sandbox`, {
      hint: 'Give it one and start it first.',
    })
  const state = sandbox.desired === 'running' || sandbox.state === 'paused' ? sandbox.state : 'stopped'
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
  const resident = ui === undefined ? (agent ?? (await agentOf(db, caller.team.id, sandbox))) : null
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
    // invariant: nobody but the gateway itself says to the runtime who asks
    trustingPort: resident === null ? null : runtimeOf(resident.runtime).uiAccess(caller.user.id).port,
  }
}

async function agentOf(db: Db, teamId: string, sandbox: SandboxRow): Promise<AgentRow | null> {
  if (sandbox.agent_id === null) return null
  return (await findAgent(db, teamId, sandbox.agent_id))?.agent ?? null
}

/** Resumes a paused sandbox and waits until it runs; any other stays as it is. */
async function awake(deps: AuthorizeDeps, row: SandboxRow, signal: AbortSignal): Promise<SandboxRow> {
  if (row.desired !== 'paused' && !(row.desired === 'running' && row.state === 'paused')) return row
  const resumed = await deps.db.transaction().execute(async (tx) => {
    const locked = await lockSandbox(tx, row.team_id, row.id)
    if (locked === undefined || (locked.state !== 'paused' && locked.state !== 'running')) return undefined
    const outcome = await resume(tx, locked, deps.clock())
    if (outcome === undefined) return locked
    const event = { teamId: row.team_id, agentId: row.agent_id, sandboxId: row.id, state: locked.state }
    await insertEvents(tx, [{ ...event, kind: outcome.kind, message: 'resumed by a request to it' }])
    return { ...locked, desired: 'running' as const }
  })
  if (resumed === undefined) return row
  announce(deps.wake, resumed)
  return await untilObeyed(deps, resumed, 'running', signal)
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
