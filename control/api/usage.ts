import { SlopboxError } from '../../contract/errors.ts'
import {
  assignPlan as assignRoute,
  createPlan,
  getAgentUsage,
  getUsage,
  listPlans as listRoute,
  putBudget,
  updatePlan as updateRoute,
} from '../../contract/usage.ts'
import type { Usage } from '../../contract/usage.ts'
import { assess } from '../../core/budget.ts'
import { bandwidthBytes, monthOf, sumUsage, usagePeriod } from '../../core/metering.ts'
import { mount } from '../../lib/mount.ts'
import type { App } from '../../lib/mount.ts'
import { actorOf } from '../auth/caller.ts'
import type { Caller } from '../auth/caller.ts'
import { findAgent } from '../store/agents.ts'
import { auditAct } from '../store/audit.ts'
import type { Db } from '../store/db.ts'
import { toPage } from '../store/page.ts'
import { assignPlan, findPlan, insertPlan, listPlans, setBudget, termsOf, updatePlan } from '../store/plans.ts'
import { usageOf } from '../store/usage.ts'
import type { Wake } from '../wake.ts'
import { unknownAgent } from './agents.ts'

export interface UsageDeps {
  db: Db
  wake: Wake
  clock: () => Date
}

export function mountUsage(app: App<Caller>, deps: UsageDeps): void {
  const { db, clock } = deps
  mount(app, getUsage, ({ caller, query }) =>
    show(db, { teamId: caller.team.id, agentId: null }, query.month ?? monthOf(clock())),
  )
  mount(app, getAgentUsage, async ({ caller, params, query }) => {
    if ((await findAgent(db, caller.team.id, params.id)) === undefined) throw unknownAgent(params.id)
    return await show(db, { teamId: caller.team.id, agentId: params.id }, query.month ?? monthOf(clock()))
  })
  mount(app, putBudget, async ({ caller, body }) => {
    if (caller.team.role === 'member')
      throw new SlopboxError('forbidden', `the budget of team ${caller.team.name} is set by its owners and admins`)
    await db.transaction().execute(async (tx) => {
      await setBudget(tx, caller.team.id, body.budgetCents)
      await auditAct(tx, actorOf(caller), putBudget.id, { budgetCents: body.budgetCents })
    })
    changed(deps)
    return await show(db, { teamId: caller.team.id, agentId: null }, monthOf(clock()))
  })
  mountPlans(app, deps)
}

/** Verdicts may differ: enforcement looks again, and egress hears of it. */
function changed({ wake }: UsageDeps): void {
  wake.reconcile()
  wake.egress()
}

function mountPlans(app: App<Caller>, deps: UsageDeps): void {
  const { db } = deps
  mount(app, listRoute, async ({ query }) =>
    toPage(
      await listPlans(db, query),
      query.limit,
      (row) => row.createdAt,
      (plan) => plan,
    ),
  )
  mount(app, createPlan, async ({ caller, body }) => {
    const plan = await insertPlan(db, body)
    if (plan === 'taken') throw planTaken(body.name)
    await auditAct(db, { ...actorOf(caller), teamId: null }, createPlan.id, { planId: plan.id, name: plan.name })
    return plan
  })
  mount(app, updateRoute, async ({ caller, params, body }) => {
    const change = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined))
    const plan = await updatePlan(db, params.id, change)
    if (plan === 'taken') throw planTaken(body.name ?? '')
    if (plan === undefined) throw unknownPlan(params.id)
    await auditAct(db, { ...actorOf(caller), teamId: null }, updateRoute.id, { planId: plan.id, name: plan.name })
    changed(deps)
    return plan
  })
  mount(app, assignRoute, async ({ caller, params, body }) => {
    const plan = await findPlan(db, body.planId)
    if (plan === undefined) throw unknownPlan(body.planId)
    if (!(await assignPlan(db, params.teamId, body.planId)))
      throw new SlopboxError('not_found', `no team ${params.teamId.slice(0, 40)}`)
    await auditAct(db, { ...actorOf(caller), teamId: params.teamId }, assignRoute.id, { planId: plan.id })
    changed(deps)
    return plan
  })
}

const planTaken = (name: string): SlopboxError =>
  new SlopboxError('conflict', `a plan named ${name} exists already`, { hint: 'Choose another name.' })
const unknownPlan = (id: string): SlopboxError => new SlopboxError('not_found', `no plan ${id}`)

/** Totals are those asked for; plan, cost, budget and verdict are always the team's, since they hold for all of it. */
async function show(db: Db, of: { teamId: string; agentId: string | null }, month: string): Promise<Usage> {
  const { start, end } = usagePeriod(month)
  const [from, to] = [start.toISOString().slice(0, 10), end.toISOString().slice(0, 10)]
  const sum = sumUsage(await usageOf(db, of, from, to))
  const team = of.agentId === null ? sum : sumUsage(await usageOf(db, { ...of, agentId: null }, from, to))
  const { plan, budgetCents } = await termsOf(db, of.teamId)
  return {
    period: { start: start.toISOString(), end: end.toISOString() },
    ...sum,
    plan,
    bandwidthBytes: bandwidthBytes(sum.totals),
    ...assess(plan, bandwidthBytes(team.totals), budgetCents),
    budgetCents,
  }
}
