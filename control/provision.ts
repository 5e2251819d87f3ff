import { assess, exceededReason } from '../core/budget.ts'
import { bandwidthBytes, monthOf, sumUsage, usagePeriod } from '../core/metering.ts'
import { workspaceDirectory } from './runtimes/openclaw-config.ts'
import { runtimeOf } from './runtimes/all.ts'
import type { AgentRow } from './store/agents.ts'
import type { Db, Tx } from './store/db.ts'
import { termsOf } from './store/plans.ts'
import { insertSandbox } from './store/sandboxes.ts'
import type { SandboxRow } from './store/sandboxes.ts'
import { usageOf } from './store/usage.ts'

export interface ProvisionWish {
  /** False: it waits to be started. */
  start: boolean
  requestedAt: Date
}

/** Gives an agent without a living sandbox a new one. Over its budget it waits, with the reason, until that is raised. */
export async function provision(tx: Tx, agent: AgentRow, wish: ProvisionWish): Promise<SandboxRow> {
  const exceeded = wish.start ? await whyExceeded(tx, agent.team_id, wish.requestedAt) : null
  const start = wish.start && exceeded === null
  return await insertSandbox(tx, {
    teamId: agent.team_id,
    agentId: agent.id,
    template: runtimeOf(agent.runtime).template,
    isolation: 'container',
    size: agent.size,
    env: {},
    metadata: {},
    volumes: [{ id: agent.volume_id ?? agent.id, path: workspaceDirectory }],
    desired: start ? 'running' : 'stopped',
    stoppedBy: start ? null : wish.start ? 'budget' : 'user',
    reason: exceeded,
    requestedAt: wish.requestedAt,
    timeoutMs: null,
    onTimeout: 'destroy',
    wakeOnTraffic: false,
  })
}

/** Why nothing of this team may run now, in a sentence for people; null: within plan and budget. */
export async function whyExceeded(db: Db | Tx, teamId: string, now: Date): Promise<string | null> {
  const { start, end } = usagePeriod(monthOf(now))
  const rows = await usageOf(
    db,
    { teamId, agentId: null },
    start.toISOString().slice(0, 10),
    end.toISOString().slice(0, 10),
  )
  const { plan, budgetCents } = await termsOf(db, teamId)
  const { verdict, overageCents } = assess(plan, bandwidthBytes(sumUsage(rows).totals), budgetCents)
  return verdict === 'exceeded' ? exceededReason(plan, overageCents, budgetCents) : null
}
