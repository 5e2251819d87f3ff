import { exhaustedTeams } from '../policies.ts'
import { whyExceeded } from '../provision.ts'
import type { Db, Tx } from '../store/db.ts'
import { insertEvents } from '../store/events.ts'
import { listLiving, setDesired } from '../store/sandboxes.ts'
import type { SandboxRow } from '../store/sandboxes.ts'
import type { Wake } from '../wake.ts'

/**
 * Stops what belongs to teams whose plan and budget are used up, and starts again exactly what was stopped for that
 * reason once there is room: after the budget was raised, another plan, or in the next usage period.
 */
export async function enforceBudgets(deps: { db: Db; wake: Wake; clock: () => Date }): Promise<void> {
  const { db, wake } = deps
  const now = deps.clock()
  const exhausted = await exhaustedTeams(db, now)
  const living = await listLiving(db)
  const stop = living.filter((row) => exhausted.has(row.team_id) && row.desired === 'running')
  const start = living.filter(
    (row) => !exhausted.has(row.team_id) && row.stopped_by === 'budget' && row.desired === 'stopped',
  )
  for (const row of stop) {
    const reason = await whyExceeded(db, row.team_id, now)
    if (reason === null) continue
    await change(db, row, 'running', async (tx, locked) => {
      await setDesired(tx, locked, 'stopped', { stopped_by: 'budget', reason, step: null })
      return { kind: 'budget.exceeded', message: `stopped: ${reason}` }
    })
  }
  for (const row of start) {
    await change(db, row, 'stopped', async (tx, locked) => {
      if (locked.stopped_by !== 'budget') return undefined
      await setDesired(tx, locked, 'running', { stopped_by: null, reason: null, requested_at: now })
      return { kind: 'budget.raised', message: 'started again: there is room in plan and budget' }
    })
  }
  for (const row of [...stop, ...start])
    wake.changed(row.team_id, { kind: 'sandbox.updated', agentId: row.agent_id, sandboxId: row.id })
  if (stop.length + start.length > 0) {
    wake.host()
    wake.egress()
    wake.gateway()
    wake.reconcile()
  }
}

type Happened = { kind: string; message: string } | undefined

/** Changes a sandbox under its lock, unless it is no longer as it was when the decision was made. */
async function change(
  db: Db,
  row: SandboxRow,
  desired: SandboxRow['desired'],
  act: (tx: Tx, locked: SandboxRow) => Promise<Happened>,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const locked = await tx.selectFrom('sandboxes').selectAll().where('id', '=', row.id).forUpdate().executeTakeFirst()
    if (locked === undefined || locked.desired !== desired || locked.state === 'destroyed') return
    const happened = await act(tx, locked)
    if (happened === undefined) return
    await insertEvents(tx, [
      { teamId: row.team_id, agentId: row.agent_id, sandboxId: row.id, state: locked.state, ...happened },
    ])
  })
}
