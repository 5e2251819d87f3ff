import assert from 'node:assert/strict'
import { test } from 'node:test'
import { meters, type Totals } from '../../contract/usage.ts'
import { bandwidthOf, daysOf, shareOf, tokensOf } from './totals.ts'

const totals = (some: Partial<Totals>): Totals =>
  ({ ...Object.fromEntries(meters.map((meter) => [meter, 0])), ...some }) as Totals

test('traffic is all four directions, tokens do not count cached ones twice', () => {
  const sum = totals({
    egress_in_bytes: 1,
    egress_out_bytes: 2,
    gateway_in_bytes: 4,
    gateway_out_bytes: 8,
    model_input_tokens: 100,
    model_cached_tokens: 60,
    model_output_tokens: 7,
  })
  assert.equal(bandwidthOf(sum), 15)
  assert.equal(tokensOf(sum), 107)
})

test('days without usage are there, and none of the future', () => {
  const usage = {
    period: { start: '2026-11-01T00:00:00Z', end: '2026-12-01T00:00:00Z' },
    days: [{ day: '2026-11-02', totals: totals({ cpu_ms: 5 }) }],
  }
  const days = daysOf(usage, '2026-11-03')
  assert.deepEqual(
    days.map((entry) => [entry.day, entry.totals?.cpu_ms ?? null]),
    [
      ['2026-11-01', null],
      ['2026-11-02', 5],
      ['2026-11-03', null],
    ],
  )
  assert.equal(daysOf(usage, '2027-01-01').length, 30)
})

test('shares stay between nothing and all', () => {
  assert.deepEqual([shareOf(0, 0), shareOf(1, 0), shareOf(5, 10), shareOf(20, 10)], [0, 1, 0.5, 1])
})
