import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { agentEvents, createAgent, getAgent, startAgent, stopAgent } from '../../contract/agents.ts'
import type { Agent } from '../../contract/agents.ts'
import { SlopboxError } from '../../contract/errors.ts'
import { createSandbox } from '../../contract/sandboxes.ts'
import { syncEgress } from '../../contract/sync.ts'
import { assignPlan, createPlan, getUsage, listPlans, putBudget, updatePlan } from '../../contract/usage.ts'
import { startTestControl, testTokens } from '../testing.ts'
import { testHost } from '../testing-host.ts'

const gib = 1024 ** 3
let now = new Date('2026-11-20T12:00:00Z')
const control = await startTestControl({ clock: () => now })
after(() => control[Symbol.asyncDispose]())
const operator = { key: control.operator.key }
const host = testHost(control)
await host.sync()

const fails = (code: string) => (error: unknown) => error instanceof SlopboxError && error.code === code
const model = { baseUrl: 'https://api.example.com/v1', id: 'm-1' }

async function metered(name: string): Promise<{ key: string; teamId: string; agent: Agent; sandboxId: string }> {
  const { key, teamId } = await control.newUser(name)
  const agent = await control.call(createAgent, { body: { name: 'A', model } }, { key })
  const sandboxId = agent.sandbox?.id ?? assert.fail()
  await host.untilState(sandboxId, 'running')
  return { key, teamId, agent, sandboxId }
}

async function use(sandboxId: string, total: number, epoch = 'e'): Promise<void> {
  const body = {
    hash: null,
    holdMs: 0,
    protocol: 1 as const,
    version: '0',
    audit: [],
    readings: [{ sandboxId, meter: 'egress_out_bytes' as const, epoch, total }],
  }
  await control.call(syncEgress, { body }, { key: testTokens.egress })
}

async function exhausted(sandboxId: string): Promise<boolean | undefined> {
  const body = { hash: null, holdMs: 0, protocol: 1 as const, version: '0', audit: [], readings: [] }
  const { policies } = await control.call(syncEgress, { body }, { key: testTokens.egress })
  return policies.find((policy) => policy.sandboxId === sandboxId)?.exhausted
}

const planFor = async (teamId: string, name: string, more: object = {}): Promise<string> => {
  const body = { name, bandwidthGiB: 1, overageCentsPerGiB: 100, ...more }
  const plan = await control.call(createPlan, { body }, operator)
  await control.call(assignPlan, { params: { teamId }, body: { planId: plan.id } }, operator)
  return plan.id
}

test('beyond plan and budget everything of the team stops and says why; raising the budget brings exactly that back', async () => {
  const { key, teamId, agent, sandboxId } = await metered('spender')
  const resting = await control.call(createAgent, { body: { name: 'B', model } }, { key })
  await host.untilState(resting.sandbox?.id ?? '', 'running')
  await control.call(stopAgent, { params: { id: resting.id } }, { key })
  await host.untilState(resting.sandbox?.id ?? '', 'stopped')
  await planFor(teamId, 'small')
  await control.call(putBudget, { body: { budgetCents: 50 } }, { key })

  await use(sandboxId, gib)
  assert.equal((await control.call(getUsage, {}, { key })).verdict, 'within')
  await use(sandboxId, 1.5 * gib)
  const over = await control.call(getUsage, {}, { key })
  assert.deepEqual([over.verdict, over.overageCents, over.includedBytes], ['overage', 50, gib])
  assert.equal(await exhausted(sandboxId), false)

  await use(sandboxId, 1.5 * gib + 1)
  await host.untilState(sandboxId, 'stopped')
  const stopped = await control.call(getAgent, { params: { id: agent.id } }, { key })
  assert.equal(stopped.state, 'stopped')
  assert.match(stopped.reason ?? '', /0\.51 of overage exceed the budget of 0\.50; raise the overage budget/)
  assert.equal(await exhausted(sandboxId), true)
  await assert.rejects(control.call(startAgent, { params: { id: agent.id } }, { key }), fails('budget_exceeded'))
  await assert.rejects(control.call(createSandbox, { body: {} }, { key }), fails('budget_exceeded'))

  await control.call(putBudget, { body: { budgetCents: 51 } }, { key })
  await host.untilState(sandboxId, 'running')
  const back = await control.call(getAgent, { params: { id: agent.id } }, { key })
  assert.deepEqual([back.state, back.reason], ['running', null])
  assert.equal((await control.call(getAgent, { params: { id: resting.id } }, { key })).state, 'stopped')
  const { items } = await control.call(agentEvents, { params: { id: agent.id } }, { key })
  const kinds = items.map((event) => event.kind)
  assert.equal(kinds.filter((kind) => kind === 'budget.exceeded').length, 1)
  assert.equal(kinds.filter((kind) => kind === 'budget.raised').length, 1)
})

test('what its owner stops while the budget is used up stays stopped when that is raised', async () => {
  const { key, teamId, agent, sandboxId } = await metered('sleeper')
  await planFor(teamId, 'tiny')
  await use(sandboxId, gib + 1)
  await host.untilState(sandboxId, 'stopped')
  await control.call(stopAgent, { params: { id: agent.id } }, { key })
  await control.call(putBudget, { body: { budgetCents: 1000 } }, { key })
  assert.equal(await exhausted(sandboxId), false)
  await host.sync()
  assert.equal(host.desired?.sandboxes.find((each) => each.id === sandboxId)?.state, 'stopped')
})

test('an agent made while the budget is used up waits, and starts when there is room again', async () => {
  const { key, teamId, sandboxId } = await metered('latecomer')
  const planId = await planFor(teamId, 'narrow')
  await use(sandboxId, gib + 1)
  await host.untilState(sandboxId, 'stopped')
  const waiting = await control.call(createAgent, { body: { name: 'Late', model } }, { key })
  assert.equal(waiting.state, 'stopped')
  assert.match(waiting.reason ?? '', /raise the overage budget/)
  await control.call(updatePlan, { params: { id: planId }, body: { bandwidthGiB: 5 } }, operator)
  await host.untilState(waiting.sandbox?.id ?? '', 'running')
  await host.untilState(sandboxId, 'running')
})

test('one team’s use stops no other team', async () => {
  const a = await metered('team-a')
  const b = await metered('team-b')
  await planFor(a.teamId, 'for-a')
  await use(a.sandboxId, gib + 1)
  await host.untilState(a.sandboxId, 'stopped')
  assert.equal(await exhausted(b.sandboxId), false)
  assert.equal(host.sandboxes.get(b.sandboxId)?.state, 'running')
})

test('plans are made by operators, named once, and shown to everybody', async () => {
  const { key } = await control.newUser('reader')
  const body = { name: 'Big', bandwidthGiB: 1000, overageCentsPerGiB: 5 }
  await assert.rejects(control.call(createPlan, { body }, { key }), fails('forbidden'))
  await control.call(createPlan, { body }, operator)
  await assert.rejects(control.call(createPlan, { body }, operator), fails('conflict'))
  const { items } = await control.call(listPlans, {}, { key })
  assert.ok(items.some((plan) => plan.name === 'Big') && items.some((plan) => plan.name === 'Standard'))
  const missing = 'pl0000000000000000'
  await assert.rejects(control.call(updatePlan, { params: { id: missing }, body: {} }, operator), fails('not_found'))
  await assert.rejects(
    control.call(assignPlan, { params: { teamId: 'nope' }, body: { planId: items[0]?.id ?? '' } }, operator),
    fails('not_found'),
  )
})

test('a new month is a new usage period: what the budget stopped starts again', async () => {
  const { key, teamId, sandboxId } = await metered('monthly')
  await planFor(teamId, 'monthly')
  await use(sandboxId, gib + 1)
  await host.untilState(sandboxId, 'stopped')
  now = new Date('2026-12-01T00:00:01Z')
  await host.sync()
  control.wake.reconcile()
  await host.untilState(sandboxId, 'running')
  const december = await control.call(getUsage, {}, { key })
  assert.deepEqual([december.verdict, december.bandwidthBytes], ['within', 0])
  const november = await control.call(getUsage, { query: { month: '2026-11' } }, { key })
  assert.equal(november.verdict, 'exceeded')
})
