import {
  destroyAgentSandbox,
  provisionAgent,
  restartAgent,
  startAgent,
  stopAgent,
  wipeAgent,
} from '../../contract/agents.ts'
import type { Agent } from '../../contract/agents.ts'
import { SlopboxError } from '../../contract/errors.ts'
import { newId } from '../../contract/ids.ts'
import { nextStep, whyNot } from '../../core/sandbox-state.ts'
import type { SandboxAction } from '../../core/sandbox-state.ts'
import { mount } from '../../lib/mount.ts'
import type { App } from '../../lib/mount.ts'
import { actorOf } from '../auth/caller.ts'
import type { Caller } from '../auth/caller.ts'
import { provision, whyExceeded } from '../provision.ts'
import { lockAgent, setVolume } from '../store/agents.ts'
import type { AgentWithSandbox, SandboxRow } from '../store/agents.ts'
import { auditAct } from '../store/audit.ts'
import { json } from '../store/db.ts'
import type { Tx } from '../store/db.ts'
import { insertEvents } from '../store/events.ts'
import { destroyVolumeOf, expiryOf, setDesired } from '../store/sandboxes.ts'
import { announce, refuseDeleted, show, unknownAgent } from './agents.ts'
import type { AgentsDeps } from './agents.ts'

type Workspace = 'keep' | 'delete'

/** What an owner does to an agent's sandbox. Each may be repeated: asking for what is so already changes nothing. */
export function mountAgentSandbox(app: App<Caller>, deps: AgentsDeps): void {
  const { clock } = deps
  mount(app, provisionAgent, ({ caller, params }) =>
    act(deps, caller, params.id, provisionAgent.id, (tx, found) => provisionAnew(tx, found, clock())),
  )
  mount(app, destroyAgentSandbox, ({ caller, params, query }) =>
    act(deps, caller, params.id, destroyAgentSandbox.id, (tx, found) =>
      destroySandbox(tx, found, query.workspace, false),
    ),
  )
  mount(app, startAgent, ({ caller, params }) =>
    act(deps, caller, params.id, startAgent.id, (tx, found) => start(tx, living(found), clock())),
  )
  mount(app, stopAgent, ({ caller, params }) =>
    act(deps, caller, params.id, stopAgent.id, (tx, found) => stop(tx, living(found))),
  )
  mount(app, restartAgent, ({ caller, params }) =>
    act(deps, caller, params.id, restartAgent.id, (tx, found) => restart(tx, living(found), clock())),
  )
  mount(app, wipeAgent, ({ caller, params, body }) =>
    act(deps, caller, params.id, wipeAgent.id, async (tx, found) => {
      refuseUnless('wipe', living(found))
      return await destroySandbox(tx, found, body.workspace, true)
    }),
  )
}

/** What to write down about it; undefined: it was so already. */
type Outcome = { kind: string; message: string } | undefined

async function act(
  deps: AgentsDeps,
  caller: Caller,
  id: string,
  operation: string,
  change: (tx: Tx, found: AgentWithSandbox) => Promise<Outcome>,
): Promise<Agent> {
  const teamId = caller.team.id
  const changed = await deps.db.transaction().execute(async (tx) => {
    const found = await lockAgent(tx, teamId, id)
    if (found === undefined) throw unknownAgent(id)
    refuseDeleted(found)
    const outcome = await change(tx, found)
    if (outcome === undefined) return false
    const sandboxId = found.sandbox?.id ?? null
    const { kind, message } = outcome
    const event = { teamId, agentId: id, sandboxId, kind, message: `${message} by ${caller.user.name}` }
    await insertEvents(tx, [{ ...event, state: found.sandbox?.state ?? null }])
    await auditAct(tx, actorOf(caller), operation, {}, { agentId: id, sandboxId })
    return true
  })
  if (changed) announce(deps, teamId, id, 'agent.updated')
  return await show(deps, teamId, id)
}

function living({ agent, sandbox }: AgentWithSandbox): SandboxRow {
  if (sandbox === null)
    throw new SlopboxError('wrong_state', `agent ${agent.id} has no sandbox`, {
      hint: 'Give it one first: `POST /v1/agents/{id}/sandbox`.',
    })
  if (sandbox.desired === 'destroyed')
    throw new SlopboxError('wrong_state', `the sandbox of agent ${agent.id} is being destroyed`, {
      hint: 'Wait until it is gone.',
    })
  return sandbox
}

function refuseUnless(action: SandboxAction, sandbox: SandboxRow): void {
  const reason = whyNot(action, sandbox.state)
  if (reason !== undefined) throw new SlopboxError('wrong_state', reason, { hint: nextStep(action, sandbox.state) })
}

async function refuseOverBudget(tx: Tx, teamId: string, now: Date): Promise<void> {
  const reason = await whyExceeded(tx, teamId, now)
  if (reason !== null) throw new SlopboxError('budget_exceeded', reason)
}

async function provisionAnew(tx: Tx, found: AgentWithSandbox, now: Date): Promise<Outcome> {
  if (found.sandbox !== null) {
    living(found)
    return undefined
  }
  await refuseOverBudget(tx, found.agent.team_id, now)
  await provision(tx, found.agent, { start: true, requestedAt: now })
  return { kind: 'agent.provisioned', message: 'given a sandbox' }
}

/** A sandbox in `error` is tried again, which a host sees by the new generation. */
export async function start(tx: Tx, sandbox: SandboxRow, now: Date): Promise<Outcome> {
  if (sandbox.desired === 'running' && sandbox.state !== 'error') return undefined
  // Asked to stop but not there yet: it just goes on.
  if (sandbox.state !== 'creating' && sandbox.state !== 'running') refuseUnless('start', sandbox)
  await refuseOverBudget(tx, sandbox.team_id, now)
  const again = sandbox.state === 'error' && sandbox.host_id !== null
  await setDesired(tx, sandbox, 'running', {
    stopped_by: null,
    reason: null,
    requested_at: now,
    timings: '{}',
    // Its clock stood still when it was paused, and its machine restarted meanwhile.
    expires_at: sandbox.expires_at ?? expiryOf(now, sandbox.timeout_ms),
    ...(again
      ? { generation: sandbox.generation + 1, state: 'creating' as const, step: 'booting' as const, since: now }
      : {}),
  })
  return { kind: 'agent.started', message: 'started' }
}

export async function stop(tx: Tx, sandbox: SandboxRow): Promise<Outcome> {
  if (sandbox.desired === 'stopped') {
    if (sandbox.stopped_by === 'user') return undefined
    // Stopped by the budget so far: from now on it stays stopped when that is raised.
    await setDesired(tx, sandbox, 'stopped', { stopped_by: 'user', reason: null })
    return { kind: 'agent.stopped', message: 'stopped' }
  }
  refuseUnless('stop', sandbox)
  await setDesired(tx, sandbox, 'stopped', { stopped_by: 'user', reason: null, step: null })
  return { kind: 'agent.stopped', message: 'stopped' }
}

async function restart(tx: Tx, sandbox: SandboxRow, now: Date): Promise<Outcome> {
  refuseUnless('restart', sandbox)
  await refuseOverBudget(tx, sandbox.team_id, now)
  await setDesired(tx, sandbox, 'running', {
    generation: sandbox.generation + 1,
    stopped_by: null,
    reason: null,
    requested_at: now,
    timings: '{}',
  })
  return { kind: 'agent.restarted', message: 'restarted' }
}

/** The workspace's volume goes with it or waits, on the same host, for the next sandbox. */
async function destroySandbox(
  tx: Tx,
  { agent, sandbox }: AgentWithSandbox,
  workspace: Workspace,
  replace: boolean,
): Promise<Outcome> {
  const volumes = workspace === 'delete' && agent.volume_id !== null ? [agent.volume_id] : []
  if (sandbox === null) {
    if (volumes[0] === undefined || agent.volume_host_id === null) return undefined
    await destroyVolumeOf(tx, agent.id, agent.volume_host_id, volumes[0])
  } else {
    if (sandbox.desired === 'destroyed' && volumes.length === 0) return undefined
    await setDesired(tx, sandbox, 'destroyed', {
      replace,
      reason: null,
      delete_volumes: json([...new Set([...sandbox.delete_volumes, ...volumes])]),
    })
  }
  // A new name, so that the old one is deleted without harm to what comes next.
  if (workspace === 'delete') await setVolume(tx, agent.id, newVolumeId(), null)
  if (replace) return { kind: 'agent.wiping', message: `wiped (workspace: ${workspace})` }
  return { kind: 'agent.unprovisioned', message: `its sandbox was destroyed (workspace: ${workspace})` }
}

/** A volume's id outlives its sandbox; any unique word of `[a-z0-9]` does. */
const newVolumeId = (): string => newId('sandbox').replace(/^sb/, 'vo')
