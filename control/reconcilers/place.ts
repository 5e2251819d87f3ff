import { place, reservedMiB } from '../../core/placement.ts'
import type { PlacementHost } from '../../core/placement.ts'
import { json } from '../store/db.ts'
import type { Db } from '../store/db.ts'
import { insertEvents } from '../store/events.ts'
import { listHosts } from '../store/hosts.ts'
import { listLiving } from '../store/sandboxes.ts'
import type { SandboxRow } from '../store/sandboxes.ts'
import { builtInTemplate } from '../templates.ts'
import type { Wake } from '../wake.ts'
import { unreachableAfterMs } from './hosts.ts'

/** Gives every sandbox that shall run and has no host a host, oldest first, or says why there is none. */
export async function placeSandboxes(deps: { db: Db; wake: Wake; clock: () => Date }): Promise<void> {
  const { db, wake } = deps
  const living = await listLiving(db)
  const waiting = living
    .filter((row) => row.host_id === null && row.desired === 'running')
    .toSorted((a, b) => a.requested_at.getTime() - b.requested_at.getTime())
  if (waiting.length === 0) return
  const now = deps.clock()
  const [hosts, volumes] = await Promise.all([placementHosts(db, living, now), volumeHosts(db)])
  let placed = false
  for (const row of waiting) {
    const boundTo = row.agent_id === null ? null : (volumes.get(row.agent_id) ?? null)
    const need = { isolation: row.isolation, size: row.size, busy: row.agent_id !== null, boundTo }
    const placement = place(need, hosts)
    if ('reason' in placement) {
      if (row.reason !== placement.reason) await explain(db, row, placement.reason)
      else continue
    } else {
      if (!(await putOn(db, row, placement.host, now))) continue
      const host = hosts.find((each) => each.id === placement.host)
      if (host !== undefined) host.reservedMiB += reservedMiB(row.size, need.busy)
      placed = true
    }
    wake.changed(row.team_id, { kind: 'sandbox.updated', agentId: row.agent_id, sandboxId: row.id })
  }
  if (placed) wake.host()
}

async function placementHosts(db: Db, living: readonly SandboxRow[], now: Date): Promise<PlacementHost[]> {
  const hosts = await listHosts(db)
  return hosts.map((host) => ({
    id: host.id,
    name: host.name,
    reachable: now.getTime() - host.last_seen_at.getTime() < unreachableAfterMs,
    isolations: host.drivers.flatMap((driver) => driver.isolations),
    cpus: host.capacity.cpus,
    memoryMiB: host.capacity.memoryMiB,
    reservedMiB: living
      // A paused one keeps its memory.
      .filter((row) => row.host_id === host.id && (row.desired === 'running' || row.desired === 'paused'))
      .reduce((sum, row) => sum + reservedMiB(row.size, row.agent_id !== null), 0),
  }))
}

async function volumeHosts(db: Db): Promise<Map<string, string>> {
  const rows = await db
    .selectFrom('agents')
    .select(['id', 'volume_host_id'])
    .where('volume_host_id', 'is not', null)
    .execute()
  return new Map(rows.flatMap((row) => (row.volume_host_id === null ? [] : [[row.id, row.volume_host_id] as const])))
}

/** False when somebody else placed or changed it meanwhile. */
function putOn(db: Db, row: SandboxRow, hostId: string, now: Date): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    // The agent before its sandbox, as everywhere: two transactions cannot wait for each other.
    if (row.agent_id !== null)
      await tx.selectFrom('agents').select('id').where('id', '=', row.agent_id).forUpdate().execute()
    const updated = await tx
      .updateTable('sandboxes')
      .set({
        host_id: hostId,
        template_key: builtInTemplate(row.template)?.key ?? null,
        step: 'template',
        reason: null,
        timings: json({ placedMs: Math.max(0, now.getTime() - row.requested_at.getTime()) }),
        updated_at: now,
      })
      .where('id', '=', row.id)
      .where('host_id', 'is', null)
      .where('desired', '=', 'running')
      .returning('id')
      .executeTakeFirst()
    if (updated === undefined) return false
    if (row.agent_id !== null)
      await tx.updateTable('agents').set({ volume_host_id: hostId }).where('id', '=', row.agent_id).execute()
    return true
  })
}

async function explain(db: Db, row: SandboxRow, reason: string): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx.updateTable('sandboxes').set({ reason }).where('id', '=', row.id).where('host_id', 'is', null).execute()
    // The first reason only: free memory, which it may name, changes all the time.
    if (row.reason !== null) return
    await insertEvents(tx, [
      {
        teamId: row.team_id,
        agentId: row.agent_id,
        sandboxId: row.id,
        kind: 'sandbox.unplaced',
        message: `its sandbox waits for a host: ${reason}`,
        state: row.state,
      },
    ])
  })
}
