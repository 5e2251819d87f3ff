import { sql } from 'kysely'
import { newId } from '../../contract/ids.ts'
import type { Plan } from '../../contract/usage.ts'
import { isUniqueViolation } from './db.ts'
import type { Db, Tx } from './db.ts'
import { after } from './page.ts'
import type { Paging } from './page.ts'

const columns = ['plans.id', 'plans.name', 'bandwidth_gib', 'overage_cents_per_gib', 'max_agents'] as const

interface PlanRow {
  id: string
  name: string
  bandwidth_gib: number
  overage_cents_per_gib: number
  max_agents: number
}

export interface Terms {
  plan: Plan
  budgetCents: number
}

/** A team's plan and overage budget: its own or the default plan, a budget of nothing. */
export async function termsOf(db: Db | Tx, teamId: string): Promise<Terms> {
  const row = await db
    .selectFrom('plans')
    .leftJoin('subscriptions', (join) => join.on('subscriptions.team_id', '=', teamId))
    .select([...columns, 'budget_cents'])
    .where((where) =>
      where.or([
        where('plans.id', '=', where.ref('subscriptions.plan_id')),
        where.and([where('subscriptions.plan_id', 'is', null), where('plans.is_default', '=', true)]),
      ]),
    )
    .executeTakeFirstOrThrow()
  return { plan: toPlan(row), budgetCents: row.budget_cents ?? 0 }
}

/** The terms of every team that has a sandbox. */
export async function termsByTeam(db: Db): Promise<Map<string, Terms>> {
  const { rows } = await sql<PlanRow & { team_id: string; budget_cents: number }>`
    select t.id as team_id, p.id, p.name, p.bandwidth_gib, p.overage_cents_per_gib, p.max_agents,
           coalesce(s.budget_cents, 0) as budget_cents
    from teams t
    left join subscriptions s on s.team_id = t.id
    join plans p on p.id = s.plan_id or (s.plan_id is null and p.is_default)
    where exists (select from sandboxes b where b.team_id = t.id and b.state <> 'destroyed')`.execute(db)
  return new Map(rows.map((row) => [row.team_id, { plan: toPlan(row), budgetCents: row.budget_cents }]))
}

export async function setBudget(db: Db, teamId: string, budgetCents: number): Promise<void> {
  await db
    .insertInto('subscriptions')
    .values({ team_id: teamId, plan_id: null, budget_cents: budgetCents })
    .onConflict((conflict) =>
      conflict.column('team_id').doUpdateSet({ budget_cents: budgetCents, updated_at: new Date() }),
    )
    .execute()
}

/** False when there is no such team or plan. */
export async function assignPlan(db: Db, teamId: string, planId: string): Promise<boolean> {
  const team = await db.selectFrom('teams').select('id').where('id', '=', teamId).executeTakeFirst()
  const plan = await db.selectFrom('plans').select('id').where('id', '=', planId).executeTakeFirst()
  if (team === undefined || plan === undefined) return false
  await db
    .insertInto('subscriptions')
    .values({ team_id: teamId, plan_id: planId })
    .onConflict((conflict) => conflict.column('team_id').doUpdateSet({ plan_id: planId, updated_at: new Date() }))
    .execute()
  return true
}

export type PlanChange = Partial<Omit<Plan, 'id'>>

/** 'taken' when another plan has the name. */
export async function insertPlan(db: Db, plan: Omit<Plan, 'id'>): Promise<(Plan & { created_at: Date }) | 'taken'> {
  try {
    const row = await db
      .insertInto('plans')
      .values({
        id: newId('plan'),
        name: plan.name,
        bandwidth_gib: plan.bandwidthGiB,
        overage_cents_per_gib: plan.overageCentsPerGiB,
        max_agents: plan.maxAgents,
      })
      .returning([...columns, 'created_at'])
      .executeTakeFirstOrThrow()
    return { ...toPlan(row), created_at: row.created_at }
  } catch (error) {
    if (isUniqueViolation(error)) return 'taken'
    throw error
  }
}

/** Undefined when there is no such plan. */
export async function updatePlan(db: Db, id: string, change: PlanChange): Promise<Plan | undefined | 'taken'> {
  try {
    const row = await db
      .updateTable('plans')
      .set({
        ...(change.name === undefined ? {} : { name: change.name }),
        ...(change.bandwidthGiB === undefined ? {} : { bandwidth_gib: change.bandwidthGiB }),
        ...(change.overageCentsPerGiB === undefined ? {} : { overage_cents_per_gib: change.overageCentsPerGiB }),
        ...(change.maxAgents === undefined ? {} : { max_agents: change.maxAgents }),
        updated_at: new Date(),
      })
      .where('id', '=', id)
      .returning(columns)
      .executeTakeFirst()
    return row === undefined ? undefined : toPlan(row)
  } catch (error) {
    if (isUniqueViolation(error)) return 'taken'
    throw error
  }
}

export async function findPlan(db: Db, id: string): Promise<Plan | undefined> {
  const row = await db.selectFrom('plans').select(columns).where('id', '=', id).executeTakeFirst()
  return row === undefined ? undefined : toPlan(row)
}

/** Newest first. */
export async function listPlans(db: Db, page: Paging): Promise<(Plan & { createdAt: Date })[]> {
  let query = db
    .selectFrom('plans')
    .select([...columns, 'created_at'])
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(page.limit + 1)
  query = query.where(after('created_at', 'id', page.cursor))
  return (await query.execute()).map((row) => ({ ...toPlan(row), createdAt: row.created_at }))
}

function toPlan(row: PlanRow): Plan {
  return {
    id: row.id,
    name: row.name,
    bandwidthGiB: row.bandwidth_gib,
    overageCentsPerGiB: row.overage_cents_per_gib,
    maxAgents: row.max_agents,
  }
}
