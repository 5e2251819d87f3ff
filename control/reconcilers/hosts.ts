import type { Db } from '../store/db.ts'
import { insertEvents } from '../store/events.ts'
import { listHosts } from '../store/hosts.ts'
import { updateSandbox } from '../store/sandboxes.ts'
import type { Wake } from '../wake.ts'

/** A host syncs at least every 60 s, so this is a missed sync and half of the next. */
export const unreachableAfterMs = 90_000

/**
 * Marks what is on silent hosts as missing. Silence counts from our own start at the earliest: while control was down no
 * host could be heard. The host's next report takes the mark away.
 */
export async function markUnreachable(deps: { db: Db; wake: Wake; clock: () => Date; startedAt: Date }): Promise<void> {
  const { db, wake } = deps
  const now = deps.clock()
  for (const host of await listHosts(db)) {
    const heardAt = Math.max(host.last_seen_at.getTime(), deps.startedAt.getTime())
    if (now.getTime() - heardAt < unreachableAfterMs) continue
    const reason = `its host ${host.name} does not answer since ${host.last_seen_at.toISOString()}`
    const missing = await db.transaction().execute(async (tx) => {
      const rows = await tx
        .selectFrom('sandboxes')
        .select(['id', 'team_id', 'agent_id'])
        .where('host_id', '=', host.id)
        .where('state', 'not in', ['missing', 'destroyed'])
        .forUpdate()
        .execute()
      for (const row of rows)
        await updateSandbox(tx, row.id, { state: 'missing', step: null, ready: false, reason, since: now })
      await insertEvents(
        tx,
        rows.map((row) => ({
          teamId: row.team_id,
          agentId: row.agent_id,
          sandboxId: row.id,
          kind: 'sandbox.missing',
          message: reason,
          state: 'missing' as const,
        })),
      )
      return rows
    })
    for (const row of missing)
      wake.changed(row.team_id, { kind: 'sandbox.updated', agentId: row.agent_id, sandboxId: row.id })
    if (missing.length > 0) wake.gateway()
  }
}
