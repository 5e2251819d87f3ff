import { SlopboxError } from '../../contract/errors.ts'
import type { Input } from '../../contract/route.ts'
import {
  createSandbox,
  getSandbox,
  killSandbox,
  listSandboxes as listRoute,
  startSandbox,
  stopSandbox,
} from '../../contract/sandboxes.ts'
import { coalesced } from '../../lib/coalesce.ts'
import { mount } from '../../lib/mount.ts'
import type { App } from '../../lib/mount.ts'
import { actorOf } from '../auth/caller.ts'
import type { Caller } from '../auth/caller.ts'
import { whyExceeded } from '../provision.ts'
import { placeSandboxes } from '../reconcilers/place.ts'
import { auditAct } from '../store/audit.ts'
import type { Db, Tx } from '../store/db.ts'
import { insertEvents } from '../store/events.ts'
import { toPage } from '../store/page.ts'
import { findSandbox, insertSandbox, listSandboxes, lockSandbox, setDesired } from '../store/sandboxes.ts'
import type { SandboxRow } from '../store/sandboxes.ts'
import { builtInTemplate, builtInTemplates } from '../templates.ts'
import { toSandbox } from '../views.ts'
import type { Wake } from '../wake.ts'
import { start, stop } from './agent-sandbox.ts'
import { allowedHosts, insertAllowed } from './allow.ts'
import { untilSandbox } from './until-sandbox.ts'

export interface SandboxesDeps {
  db: Db
  wake: Wake
  clock: () => Date
  /** How long a creation may take before it is given up. */
  createTimeoutMs?: number
}

const defaultCreateTimeoutMs = 60_000

export function mountSandboxes(app: App<Caller>, deps: SandboxesDeps): void {
  const { db, clock } = deps
  const place = coalesced(() => placeSandboxes(deps))
  mount(app, createSandbox, async ({ caller, body, signal }) => {
    const row = await create(deps, place, caller, body)
    return toSandbox(await untilRunning(deps, row, signal))
  })
  mount(app, listRoute, async ({ caller, query }) => {
    const { state, template } = query
    const filter = { state, template, metadata: pairsOf(query.metadata) }
    const rows = await listSandboxes(db, caller.team.id, filter, query)
    return toPage(rows, query.limit, (row) => row.created_at, toSandbox)
  })
  mount(app, getSandbox, async ({ caller, params }) => toSandbox(await find(db, caller, params.id)))
  mount(app, startSandbox, async ({ caller, params }) =>
    toSandbox(await act(deps, caller, params.id, startSandbox.id, (tx, row) => start(tx, row, clock()))),
  )
  mount(app, stopSandbox, async ({ caller, params }) =>
    toSandbox(await act(deps, caller, params.id, stopSandbox.id, stop)),
  )
  mount(app, killSandbox, async ({ caller, params }) => {
    await act(deps, caller, params.id, killSandbox.id, async (tx, row) => {
      if (row.desired === 'destroyed') return undefined
      await setDesired(tx, row, 'destroyed', { reason: null })
      return { kind: 'sandbox.killed', message: 'destroyed' }
    })
    return { ok: true as const }
  })
}

async function find(db: Db, caller: Caller, id: string): Promise<SandboxRow> {
  const row = await findSandbox(db, caller.team.id, id)
  if (row === undefined || row.state === 'destroyed') throw unknown(id)
  return row
}

/** The pairs of a filter as written in a query; undefined: all. */
function pairsOf(text: string | undefined): Record<string, string> | undefined {
  return text === undefined ? undefined : Object.fromEntries(new URLSearchParams(text))
}

const unknown = (id: string): SlopboxError => new SlopboxError('not_found', `no sandbox ${id}`)

/** Changes one that belongs to no agent, in a transaction that says who did what; an outcome of undefined changed nothing. */
export async function act(
  deps: SandboxesDeps,
  caller: Caller,
  id: string,
  operation: string,
  change: (tx: Tx, row: SandboxRow) => Promise<{ kind: string; message: string } | undefined>,
): Promise<SandboxRow> {
  const row = await deps.db.transaction().execute(async (tx) => {
    const locked = await lockSandbox(tx, caller.team.id, id)
    if (locked === undefined || locked.state === 'destroyed') throw unknown(id)
    if (locked.agent_id !== null)
      throw new SlopboxError('conflict', `sandbox ${id} belongs to agent ${locked.agent_id}`, {
        hint: 'Use the operations of the agent.',
      })
    if (locked.desired === 'destroyed' && operation !== killSandbox.id)
      throw new SlopboxError('wrong_state', `sandbox ${id} is being destroyed`)
    const outcome = await change(tx, locked)
    if (outcome !== undefined) {
      const message = `${outcome.message} by ${caller.user.name}`
      const event = { teamId: locked.team_id, agentId: null, sandboxId: id, kind: outcome.kind, message }
      await insertEvents(tx, [{ ...event, state: locked.state }])
      await auditAct(tx, actorOf(caller), operation, {}, { sandboxId: id })
    }
    return (await findSandbox(tx, caller.team.id, id)) ?? locked
  })
  announce(deps.wake, row)
  return row
}

export function announce(wake: Wake, row: SandboxRow): void {
  wake.changed(row.team_id, { kind: 'sandbox.updated', agentId: row.agent_id, sandboxId: row.id })
  wake.host()
  wake.egress()
  wake.gateway()
  wake.reconcile()
  wake.expiry()
}

async function create(
  deps: SandboxesDeps,
  place: () => Promise<void>,
  caller: Caller,
  body: Input<typeof createSandbox>['body'],
): Promise<SandboxRow> {
  const { template, isolation, size, env, metadata, timeoutMs, onTimeout, wakeOnTraffic } = body
  if (builtInTemplate(template) === undefined)
    throw new SlopboxError('invalid_request', `body.template: no template ${template}`, {
      hint: `There are ${builtInTemplates.map((each) => each.name).join(', ')}.`,
    })
  const allow = allowedHosts(body.allow)
  const requestedAt = deps.clock()
  const teamId = caller.team.id
  const row = await deps.db.transaction().execute(async (tx) => {
    const exceeded = await whyExceeded(tx, teamId, requestedAt)
    if (exceeded !== null) throw new SlopboxError('budget_exceeded', exceeded)
    const created = await insertSandbox(tx, {
      teamId,
      agentId: null,
      template,
      isolation,
      size,
      env,
      metadata,
      volumes: [],
      desired: 'running',
      stoppedBy: null,
      reason: null,
      requestedAt,
      timeoutMs,
      onTimeout,
      wakeOnTraffic,
    })
    const scope = { scope: 'sandbox', agentId: null, sandboxId: created.id } as const
    await insertAllowed(tx, { ...scope, teamId, createdBy: caller.user.id }, allow)
    await auditAct(tx, actorOf(caller), createSandbox.id, { template }, { sandboxId: created.id })
    return created
  })
  // Placed here and now: a signal to the reconciler would come to the same, later.
  await place()
  deps.wake.egress()
  deps.wake.expiry()
  deps.wake.changed(teamId, { kind: 'sandbox.updated', sandboxId: row.id })
  return row
}

/**
 * Waits for what the host reports. A sandbox that will not run in time is destroyed: its caller, who gets the reason
 * instead of an id, could not do it himself.
 */
async function untilRunning(deps: SandboxesDeps, created: SandboxRow, signal: AbortSignal): Promise<SandboxRow> {
  const timeoutMs = deps.createTimeoutMs ?? defaultCreateTimeoutMs
  const over = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
  const settled = (row: SandboxRow): boolean => row.state === 'running' || failureOf(row, null) !== undefined
  const row = await untilSandbox(deps, created, over, settled)
  const failure = row.state === 'running' ? undefined : failureOf(row, timeoutMs)
  if (failure === undefined) return row
  await giveUp(deps, row)
  throw failure
}

function failureOf(row: SandboxRow, timedOutMs: number | null): SlopboxError | undefined {
  const reason = row.reason ?? 'no reason was given'
  if (row.state === 'error') return new SlopboxError('unavailable', `the sandbox did not start: ${reason}`)
  if (row.state === 'destroyed' || row.desired !== 'running')
    return new SlopboxError('unavailable', 'the sandbox was stopped before it ran', { hint: null })
  if (row.host_id === null && row.reason !== null) return new SlopboxError('no_capacity', reason)
  if (timedOutMs === null) return undefined
  const step = row.step === null ? '' : ` (${row.step}${row.reason === null ? '' : `: ${row.reason}`})`
  return new SlopboxError('timeout', `the sandbox did not run within ${timedOutMs / 1000} s${step}`)
}

async function giveUp(deps: SandboxesDeps, row: SandboxRow): Promise<void> {
  await deps.db.transaction().execute(async (tx) => {
    const locked = await lockSandbox(tx, row.team_id, row.id)
    if (locked !== undefined && locked.state !== 'destroyed') await setDesired(tx, locked, 'destroyed', {})
  })
  announce(deps.wake, row)
}
