import type { Selectable, Updateable } from 'kysely'
import { sql } from 'kysely'
import { newId } from '../../contract/ids.ts'
import type { Isolation, Size, TimeoutAction } from '../../contract/sandboxes.ts'
import type { DesiredSandbox } from '../../contract/sync.ts'
import { json } from './db.ts'
import type { Db, Tx } from './db.ts'
import { after } from './page.ts'
import type { Paging } from './page.ts'
import type { SandboxesTable } from './schema.ts'

export type SandboxRow = Selectable<SandboxesTable>

export interface NewSandbox {
  teamId: string
  agentId: string | null
  template: string
  isolation: Isolation
  size: Size
  env: Record<string, string>
  metadata: Record<string, string>
  volumes: { id: string; path: string }[]
  /** `stopped`: it waits, on no host yet, until it is started. */
  desired: 'running' | 'stopped'
  stoppedBy: 'user' | 'budget' | null
  reason: string | null
  requestedAt: Date
  timeoutMs: number | null
  onTimeout: TimeoutAction
  wakeOnTraffic: boolean
}

export function insertSandbox(tx: Db | Tx, sandbox: NewSandbox): Promise<SandboxRow> {
  return tx
    .insertInto('sandboxes')
    .values({
      id: newId('sandbox'),
      team_id: sandbox.teamId,
      agent_id: sandbox.agentId,
      template: sandbox.template,
      template_key: null,
      isolation: sandbox.isolation,
      size: json(sandbox.size),
      env: json(sandbox.env),
      metadata: json(sandbox.metadata),
      volumes: json(sandbox.volumes),
      desired: sandbox.desired,
      state: sandbox.desired === 'running' ? 'creating' : 'stopped',
      step: sandbox.desired === 'running' ? 'placing' : null,
      reason: sandbox.reason,
      host_id: null,
      stopped_by: sandbox.stoppedBy,
      requested_at: sandbox.requestedAt,
      since: sandbox.requestedAt,
      timeout_ms: sandbox.timeoutMs,
      expires_at: expiryOf(sandbox.requestedAt, sandbox.timeoutMs),
      on_timeout: sandbox.onTimeout,
      wake_on_traffic: sandbox.wakeOnTraffic,
      destroyed_at: null,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
}

/** When a time that begins at `from` is over; null: never. */
export function expiryOf(from: Date, timeoutMs: number | null): Date | null {
  return timeoutMs === null ? null : new Date(from.getTime() + timeoutMs)
}

export async function findSandbox(db: Db | Tx, teamId: string, id: string): Promise<SandboxRow | undefined> {
  return db.selectFrom('sandboxes').selectAll().where('id', '=', id).where('team_id', '=', teamId).executeTakeFirst()
}

export async function lockSandbox(tx: Tx, teamId: string, id: string): Promise<SandboxRow | undefined> {
  return tx
    .selectFrom('sandboxes')
    .selectAll()
    .where('id', '=', id)
    .where('team_id', '=', teamId)
    .forUpdate()
    .executeTakeFirst()
}

export interface SandboxFilter {
  state: SandboxRow['state'] | undefined
  template: string | undefined
  /** Pairs that its metadata must have. */
  metadata: Record<string, string> | undefined
}

/** Newest first, destroyed ones only when asked for; one row more than the page holds, for `toPage`. */
export function listSandboxes(
  db: Db,
  teamId: string,
  { state, template, metadata }: SandboxFilter,
  page: Paging,
): Promise<SandboxRow[]> {
  let query = db
    .selectFrom('sandboxes')
    .selectAll()
    .where('team_id', '=', teamId)
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(page.limit + 1)
  query = state === undefined ? query.where('state', '<>', 'destroyed') : query.where('state', '=', state)
  if (template !== undefined) query = query.where('template', '=', template)
  if (metadata !== undefined) query = query.where(sql<boolean>`metadata @> ${json(metadata)}::jsonb`)
  query = query.where(after('created_at', 'id', page.cursor))
  return query.execute()
}

/** Everything not yet destroyed, placed or not. */
export function listLiving(db: Db | Tx): Promise<SandboxRow[]> {
  return db.selectFrom('sandboxes').selectAll().where('state', '<>', 'destroyed').orderBy('id').execute()
}

/** What a host shall have, and what it shall still destroy. */
export function listOnHost(db: Db | Tx, hostId: string): Promise<SandboxRow[]> {
  return db
    .selectFrom('sandboxes')
    .selectAll()
    .where('host_id', '=', hostId)
    .where('state', '<>', 'destroyed')
    .orderBy('id')
    .execute()
}

export async function updateSandbox(tx: Db | Tx, id: string, change: Updateable<SandboxesTable>): Promise<void> {
  await tx
    .updateTable('sandboxes')
    .set({ ...change, updated_at: sql<Date>`now()` })
    .where('id', '=', id)
    .execute()
}

/**
 * Asks for another state. A sandbox that was never placed has nothing to be stopped or destroyed on a host, so its
 * observed state follows at once.
 */
export async function setDesired(
  tx: Tx,
  sandbox: SandboxRow,
  desired: DesiredSandbox['state'],
  change: Updateable<SandboxesTable> = {},
): Promise<void> {
  const now = new Date()
  const unplaced: Updateable<SandboxesTable> =
    sandbox.host_id !== null
      ? {}
      : desired === 'destroyed'
        ? { state: 'destroyed', step: null, since: now, destroyed_at: now }
        : desired === 'running'
          ? { state: 'creating', step: 'placing', since: now }
          : { state: 'stopped', step: null, since: now }
  await updateSandbox(tx, sandbox.id, { desired, ...unplaced, ...change })
}

/**
 * Has the host that keeps an agent's workspace delete it although no sandbox is left: the last one is desired destroyed
 * once more, now with the volume. False when there is none to do it with.
 */
export async function destroyVolumeOf(tx: Tx, agentId: string, hostId: string, volumeId: string): Promise<boolean> {
  const last = await tx
    .selectFrom('sandboxes')
    .select('id')
    .where('agent_id', '=', agentId)
    .where('host_id', '=', hostId)
    .orderBy('created_at', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (last === undefined) return false
  await updateSandbox(tx, last.id, {
    state: 'stopped',
    desired: 'destroyed',
    destroyed_at: null,
    replace: false,
    delete_volumes: json([volumeId]),
  })
  return true
}
