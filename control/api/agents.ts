import {
  createAgent,
  deleteAgent,
  getAgent,
  listAgents as listRoute,
  updateAgent as updateRoute,
} from '../../contract/agents.ts'
import type { Agent, Model } from '../../contract/agents.ts'
import { SlopboxError } from '../../contract/errors.ts'
import { newId } from '../../contract/ids.ts'
import type { Input } from '../../contract/route.ts'
import { mount } from '../../lib/mount.ts'
import type { App } from '../../lib/mount.ts'
import { actorOf } from '../auth/caller.ts'
import type { Caller } from '../auth/caller.ts'
import { bindModelSecret, storeModelKey } from '../model-secret.ts'
import { provision } from '../provision.ts'
import {
  countAgents,
  findAgent,
  insertAgent,
  listAgents,
  lockAgent,
  markDeleted,
  updateAgent,
} from '../store/agents.ts'
import type { AgentWithSandbox } from '../store/agents.ts'
import { auditAct } from '../store/audit.ts'
import type { Db, Tx } from '../store/db.ts'
import { insertEvents } from '../store/events.ts'
import { toPage } from '../store/page.ts'
import { termsOf } from '../store/plans.ts'
import { destroyVolumeOf, setDesired } from '../store/sandboxes.ts'
import { json } from '../store/db.ts'
import { toAgent } from '../views.ts'
import type { Wake } from '../wake.ts'
import { allowedHosts, insertAllowed } from './allow.ts'

export interface AgentsDeps {
  db: Db
  wake: Wake
  clock: () => Date
  /** The console's origin. */
  publicUrl: string
  masterKey: Buffer
}

export function mountAgents(app: App<Caller>, deps: AgentsDeps): void {
  const { db, publicUrl } = deps
  mount(app, createAgent, ({ caller, body }) => create(deps, caller, body))
  mount(app, listRoute, async ({ caller, query }) => {
    const rows = await listAgents(db, caller.team.id, query)
    const page = toPage(
      rows.map((row) => ({ ...row, id: row.agent.id })),
      query.limit,
      (row) => row.agent.created_at,
      (row) => toAgent(row, publicUrl),
    )
    return page
  })
  mount(app, getAgent, async ({ caller, params }) => await show(deps, caller.team.id, params.id))
  mount(app, updateRoute, ({ caller, params, body }) => update(deps, caller, params.id, body))
  mount(app, deleteAgent, async ({ caller, params }) => {
    await db.transaction().execute((tx) => destroy(tx, caller, params.id))
    announce(deps, caller.team.id, params.id, 'agent.deleted')
    return { ok: true as const }
  })
}

export function unknownAgent(id: string): SlopboxError {
  return new SlopboxError('not_found', `no agent ${id}`)
}

export async function show(deps: Pick<AgentsDeps, 'db' | 'publicUrl'>, teamId: string, id: string): Promise<Agent> {
  const found = await findAgent(deps.db, teamId, id)
  if (found === undefined) throw unknownAgent(id)
  return toAgent(found, deps.publicUrl)
}

/** Tells everybody who may have to act on a change to an agent. */
export function announce(deps: Pick<AgentsDeps, 'wake'>, teamId: string, agentId: string, kind: string): void {
  deps.wake.changed(teamId, { kind, agentId })
  deps.wake.host()
  deps.wake.egress()
  deps.wake.gateway()
  deps.wake.reconcile()
}

/** One transaction: all of an agent is there afterwards, or nothing of it. */
async function create(deps: AgentsDeps, caller: Caller, body: Input<typeof createAgent>['body']): Promise<Agent> {
  const id = newId('agent')
  const requestedAt = deps.clock()
  const { key, ...given } = body.model
  refuseKeyAndSecret(given.secret, key)
  const allow = allowedHosts(body.allow)
  const teamId = caller.team.id
  await deps.db.transaction().execute(async (tx) => {
    await refuseBeyondPlan(tx, teamId)
    const owner = { teamId, userId: caller.user.id, agentId: id, agentName: body.name }
    const secret =
      key === undefined ? given.secret : await storeModelKey(tx, deps.masterKey, { ...owner, model: given, key }, null)
    const model: Model = { ...given, secret }
    await bindModelSecret(tx, teamId, model)
    const { name, runtime, personality, size } = body
    const row = { id, team_id: teamId, created_by: caller.user.id, name, runtime, personality, model, size }
    if (!(await insertAgent(tx, { ...row, volume_id: id }))) throw nameTaken(body.name)
    await insertAllowed(tx, { scope: 'agent', teamId, agentId: id, sandboxId: null, createdBy: caller.user.id }, allow)
    const found = await lockAgent(tx, teamId, id)
    if (found === undefined) throw new Error(`agent ${id} vanished from its own transaction`)
    const sandbox = await provision(tx, found.agent, { start: body.start, requestedAt })
    await insertEvents(tx, [
      {
        teamId,
        agentId: id,
        sandboxId: sandbox.id,
        kind: 'agent.created',
        message: `created by ${caller.user.name}`,
        state: sandbox.state,
      },
    ])
    await auditAct(tx, actorOf(caller), createAgent.id, { name }, { agentId: id, sandboxId: sandbox.id })
  })
  announce(deps, teamId, id, 'agent.created')
  return await show(deps, teamId, id)
}

async function refuseBeyondPlan(tx: Tx, teamId: string): Promise<void> {
  const { plan } = await termsOf(tx, teamId)
  const count = await countAgents(tx, teamId)
  if (count >= plan.maxAgents)
    throw new SlopboxError(
      'conflict',
      `the plan ${plan.name} has room for ${plan.maxAgents} agents and ${count} exist`,
      {
        hint: 'Destroy an agent, or ask an operator for another plan.',
      },
    )
}

function refuseKeyAndSecret(secret: string | null | undefined, key: string | undefined): void {
  if (key !== undefined && secret !== null && secret !== undefined)
    throw new SlopboxError('invalid_request', 'body.model: give either `key` or `secret`, not both')
  // Checked here too, since a key becomes a header's value (RFC 9110 §5.5).
  if (key !== undefined && !/^[\x21-\x7e]+$/.test(key))
    throw new SlopboxError('invalid_request', 'body.model.key: must be visible ASCII without spaces')
}

function nameTaken(name: string): SlopboxError {
  return new SlopboxError('conflict', `an agent named ${name} exists already`, { hint: 'Choose another name.' })
}

async function update(
  deps: AgentsDeps,
  caller: Caller,
  id: string,
  body: Input<typeof updateRoute>['body'],
): Promise<Agent> {
  const teamId = caller.team.id
  await deps.db.transaction().execute(async (tx) => {
    const found = await lockAgent(tx, teamId, id)
    if (found === undefined) throw unknownAgent(id)
    refuseDeleted(found)
    const { agent, sandbox } = found
    const name = body.name ?? agent.name
    const model = await changeModel(tx, deps, caller, found, name, body.model)
    const personality = { ...agent.personality, ...defined(body.personality ?? {}) }
    if (!(await updateAgent(tx, id, { name, personality, model }))) throw nameTaken(name)
    const changed = Object.keys(body).join(', ')
    await insertEvents(tx, [
      {
        teamId,
        agentId: id,
        sandboxId: sandbox?.id ?? null,
        kind: 'agent.updated',
        message: `${changed} changed by ${caller.user.name}`,
        state: sandbox?.state ?? null,
      },
    ])
    await auditAct(tx, actorOf(caller), updateRoute.id, { changed }, { agentId: id })
  })
  announce(deps, teamId, id, 'agent.updated')
  return await show(deps, teamId, id)
}

async function changeModel(
  tx: Tx,
  deps: AgentsDeps,
  caller: Caller,
  { agent }: AgentWithSandbox,
  name: string,
  change: Input<typeof updateRoute>['body']['model'],
): Promise<Model> {
  if (change === undefined) return agent.model
  const { key, ...given } = change
  refuseKeyAndSecret(given.secret, key)
  const model: Model = { ...agent.model, ...defined(given) }
  if (key !== undefined) {
    const owner = { teamId: agent.team_id, userId: caller.user.id, agentId: agent.id, agentName: name }
    model.secret = await storeModelKey(tx, deps.masterKey, { ...owner, model, key }, agent.model.secret)
  }
  await bindModelSecret(tx, agent.team_id, model)
  return model
}

/** Fields that were left out stay as they are. */
function defined<T extends object>(change: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}

export function refuseDeleted({ agent }: AgentWithSandbox): void {
  if (agent.deleted_at !== null) throw new SlopboxError('wrong_state', `agent ${agent.id} is being destroyed`)
}

/** Asks for the end of sandbox and workspace; the agent itself is forgotten once its host has confirmed. */
async function destroy(tx: Tx, caller: Caller, id: string): Promise<void> {
  const found = await lockAgent(tx, caller.team.id, id)
  if (found === undefined) throw unknownAgent(id)
  const { agent, sandbox } = found
  if (agent.deleted_at !== null) return
  const volumes = agent.volume_id === null ? [] : [agent.volume_id]
  if (sandbox !== null)
    await setDesired(tx, sandbox, 'destroyed', { replace: false, delete_volumes: json(volumes), reason: null })
  else if (agent.volume_host_id !== null && agent.volume_id !== null)
    await destroyVolumeOf(tx, id, agent.volume_host_id, agent.volume_id)
  await markDeleted(tx, id)
  await insertEvents(tx, [
    {
      teamId: agent.team_id,
      agentId: id,
      sandboxId: sandbox?.id ?? null,
      kind: 'agent.destroyed',
      message: `destroyed by ${caller.user.name}`,
      state: sandbox?.state ?? null,
    },
  ])
  await auditAct(tx, actorOf(caller), deleteAgent.id, { name: agent.name }, { agentId: id })
}
