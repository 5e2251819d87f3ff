import { provision } from '../provision.ts'
import { removeDestroyedAgents } from '../store/agents.ts'
import type { Db } from '../store/db.ts'
import { insertEvents } from '../store/events.ts'
import { updateSandbox } from '../store/sandboxes.ts'
import type { Wake } from '../wake.ts'

/**
 * What follows once a sandbox is gone: a wiped agent gets its fresh one, a destroyed agent is forgotten. Only then,
 * so that two sandboxes never share a workspace.
 */
export async function sweep(deps: { db: Db; wake: Wake; clock: () => Date }): Promise<void> {
  const { db, wake } = deps
  const replaceable = await db
    .selectFrom('sandboxes')
    .select('id')
    .where('state', '=', 'destroyed')
    .where('replace', '=', true)
    .execute()
  for (const { id } of replaceable) {
    const agent = await replaceSandbox(db, id, deps.clock())
    if (agent === undefined) continue
    wake.changed(agent.team_id, { kind: 'agent.updated', agentId: agent.id })
    wake.egress()
    wake.reconcile()
  }
  for (const agent of await removeDestroyedAgents(db)) {
    wake.changed(agent.team_id, { kind: 'agent.deleted', agentId: agent.id })
    wake.egress()
  }
}

function replaceSandbox(db: Db, sandboxId: string, now: Date): Promise<{ id: string; team_id: string } | undefined> {
  return db.transaction().execute(async (tx) => {
    // The agent before its sandbox, as everywhere: two transactions cannot wait for each other.
    const agent = await tx
      .selectFrom('agents')
      .selectAll('agents')
      .where('id', '=', (eb) => eb.selectFrom('sandboxes').select('agent_id').where('id', '=', sandboxId))
      .forUpdate()
      .executeTakeFirst()
    const old = await tx.selectFrom('sandboxes').selectAll().where('id', '=', sandboxId).forUpdate().executeTakeFirst()
    if (old?.replace !== true) return undefined
    await updateSandbox(tx, old.id, { replace: false })
    if (agent === undefined || agent.deleted_at !== null) return undefined
    const fresh = await provision(tx, agent, { start: old.stopped_by !== 'user', requestedAt: now })
    await insertEvents(tx, [
      {
        teamId: agent.team_id,
        agentId: agent.id,
        sandboxId: fresh.id,
        kind: 'agent.wiped',
        message: 'it has a fresh disk',
        state: fresh.state,
      },
    ])
    return agent
  })
}
