import type { Db } from '../store/db.ts'
import { insertEvents } from '../store/events.ts'
import { setDesired } from '../store/sandboxes.ts'
import type { Wake } from '../wake.ts'

/** Destroys sandboxes whose time is over. */
export async function expireSandboxes(deps: { db: Db; wake: Wake; clock: () => Date }): Promise<void> {
  const { db, wake } = deps
  const now = deps.clock()
  const expired = await db.transaction().execute(async (tx) => {
    const rows = await tx
      .selectFrom('sandboxes')
      .selectAll()
      .where('expires_at', '<=', now)
      .where('state', '<>', 'destroyed')
      .where('desired', '<>', 'destroyed')
      .orderBy('id')
      .forUpdate()
      .execute()
    for (const row of rows) await setDesired(tx, row, 'destroyed', { reason: 'its time is over' })
    await insertEvents(
      tx,
      rows.map((row) => ({
        teamId: row.team_id,
        agentId: row.agent_id,
        sandboxId: row.id,
        kind: 'sandbox.expired',
        message: `destroyed: it was to live until ${row.expires_at?.toISOString()}`,
        state: row.state,
      })),
    )
    return rows
  })
  if (expired.length === 0) return
  for (const row of expired) wake.changed(row.team_id, { kind: 'sandbox.updated', sandboxId: row.id })
  wake.host()
  wake.egress()
  wake.gateway()
}
