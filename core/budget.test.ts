import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Usage } from '../contract/usage.ts'
import { assess, exceededReason } from './budget.ts'

const gib = 1024 ** 3
const plan = { bandwidthGiB: 100, overageCentsPerGiB: 10 }

const cases: [string, typeof plan, number, number, number, Usage['verdict']][] = [
  ['nothing used', plan, 0, 0, 0, 'within'],
  ['exactly what is included', plan, 100 * gib, 0, 0, 'within'],
  ['one byte more without a budget', plan, 100 * gib + 1, 0, 1, 'exceeded'],
  ['one byte more with a budget', plan, 100 * gib + 1, 1, 1, 'overage'],
  ['exactly the budget', plan, 150 * gib, 500, 500, 'overage'],
  ['one byte beyond the budget', plan, 150 * gib + 1, 500, 501, 'exceeded'],
  ['overage that costs nothing', { ...plan, overageCentsPerGiB: 0 }, 900 * gib, 0, 0, 'overage'],
  ['a plan that includes nothing', { bandwidthGiB: 0, overageCentsPerGiB: 10 }, 1, 0, 1, 'exceeded'],
  ['a part of a GiB included', { bandwidthGiB: 0.5, overageCentsPerGiB: 10 }, gib, 5, 5, 'overage'],
  ['a petabyte, beyond what a double multiplies exactly', plan, 1024 ** 5, 0, 10_484_760, 'exceeded'],
]

for (const [name, terms, used, budgetCents, cents, verdict] of cases) {
  test(`${name}: ${verdict}, ${cents} cents`, () => {
    const found = assess(terms, used, budgetCents)
    assert.deepEqual([found.overageCents, found.verdict], [cents, verdict])
  })
}

test('more use never costs less, and more budget never stops more', () => {
  let before = 0
  for (let used = 99 * gib; used < 103 * gib; used += gib / 7) {
    const { overageCents } = assess(plan, Math.floor(used), 0)
    assert.ok(overageCents >= before)
    before = overageCents
    const verdicts = [0, 5, 10, 20, 40].map((budget) => assess(plan, Math.floor(used), budget).verdict === 'exceeded')
    assert.ok(verdicts.every((exceeded, index) => index === 0 || !exceeded || verdicts[index - 1]))
  }
})

test('the reason names plan, cost, budget and the way out', () => {
  const reason = exceededReason({ name: 'Standard', bandwidthGiB: 100 }, 501, 500)
  assert.match(reason, /100 GiB of the plan Standard .* 5\.01 .* 5\.00; raise the overage budget/)
})
