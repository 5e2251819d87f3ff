import { z } from 'zod'
import { AgentId, PlanId } from './ids.ts'
import { PageQuery, pageOf, Timestamp } from './page.ts'
import { route } from './route.ts'

/** What is measured, from outside the sandbox. Whole numbers; the unit is the end of the name. */
export const meters = [
  'cpu_ms',
  'memory_mib_s',
  'egress_out_bytes',
  'egress_in_bytes',
  'gateway_out_bytes',
  'gateway_in_bytes',
  'model_requests',
  'model_input_tokens',
  'model_cached_tokens',
  'model_output_tokens',
] as const
export const Meter = z.enum(meters)
export type Meter = z.infer<typeof Meter>

export const Totals = z.record(Meter, z.int().nonnegative())
export type Totals = z.infer<typeof Totals>

export const Plan = z.object({
  id: PlanId,
  name: z.string(),
  bandwidthGiB: z.number().nonnegative().describe('Included in a usage period, both directions together.'),
  overageCentsPerGiB: z.int().nonnegative(),
  maxAgents: z.int().positive(),
})
export type Plan = z.infer<typeof Plan>

export const Usage = z.object({
  period: z.object({ start: Timestamp, end: Timestamp }).describe('A calendar month, UTC.'),
  totals: Totals,
  days: z.array(z.object({ day: z.iso.date(), totals: Totals })),
  plan: Plan,
  bandwidthBytes: z.int(),
  includedBytes: z.int(),
  overageCents: z.int().describe('What use beyond the plan has cost so far, rounded up to a cent.'),
  budgetCents: z.int().describe('The most the user will pay for overage in a period.'),
  verdict: z
    .enum(['within', 'overage', 'exceeded'])
    .describe('`exceeded`: plan and budget are both used up and the sandboxes are stopped.'),
})
export type Usage = z.infer<typeof Usage>

const month = z.strictObject({
  month: z
    .string()
    .regex(/^\d{4}-(0[1-9]|1[0-2])$/)
    .optional()
    .describe('`2026-11`; default: the current one.'),
})
export const getUsage = route({
  id: 'usage.get',
  method: 'GET',
  path: '/v1/usage',
  summary: "The team's usage in a month",
  query: month,
  reply: Usage,
})
export const getAgentUsage = route({
  id: 'agents.usage',
  method: 'GET',
  path: '/v1/agents/:id/usage',
  summary: "An agent's usage in a month",
  params: z.strictObject({ id: AgentId }),
  query: month,
  reply: Usage,
  errors: ['not_found'],
})
export const putBudget = route({
  id: 'usage.budget',
  method: 'PUT',
  path: '/v1/usage/budget',
  summary: 'Set the overage budget of a usage period; raising it brings stopped agents back',
  body: z.strictObject({ budgetCents: z.int().min(0).max(100_000_000) }),
  reply: Usage,
})
export const listPlans = route({
  id: 'plans.list',
  method: 'GET',
  path: '/v1/plans',
  summary: 'List plans',
  query: PageQuery,
  reply: pageOf(Plan),
})
const PlanBody = z.strictObject({
  name: z.string().trim().min(1).max(63),
  bandwidthGiB: z.number().min(0).max(1_000_000),
  overageCentsPerGiB: z.int().min(0).max(1_000_000),
  maxAgents: z.int().min(1).max(100_000).default(100),
})
export const createPlan = route({
  id: 'plans.create',
  method: 'POST',
  path: '/v1/plans',
  status: 201,
  access: 'operator',
  summary: 'Create a plan',
  body: PlanBody,
  reply: Plan,
  errors: ['conflict'],
})
export const updatePlan = route({
  id: 'plans.update',
  method: 'PATCH',
  path: '/v1/plans/:id',
  access: 'operator',
  summary: 'Change a plan',
  params: z.strictObject({ id: PlanId }),
  body: z.strictObject({
    name: PlanBody.shape.name.optional(),
    bandwidthGiB: PlanBody.shape.bandwidthGiB.optional(),
    overageCentsPerGiB: PlanBody.shape.overageCentsPerGiB.optional(),
    maxAgents: z.int().min(1).max(100_000).optional(),
  }),
  reply: Plan,
  errors: ['not_found', 'conflict'],
})
export const assignPlan = route({
  id: 'plans.assign',
  method: 'PUT',
  path: '/v1/admin/teams/:teamId/plan',
  access: 'operator',
  summary: 'Put a team on a plan',
  params: z.strictObject({ teamId: z.string() }),
  body: z.strictObject({ planId: PlanId }),
  reply: Plan,
  errors: ['not_found'],
})
