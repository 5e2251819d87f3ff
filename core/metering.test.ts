import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bandwidthBytes, dayOf, monthOf, newUse, noTotals, sumUsage, usagePeriod } from './metering.ts'

const readings: [string, number | undefined, number, number][] = [
  ['a first reading adds all of it', undefined, 10, 10],
  ['a higher one adds the difference', 10, 25, 15],
  ['a repeat adds nothing', 25, 25, 0],
  ['a late lower one adds nothing', 25, 10, 0],
  ['a first reading of nothing adds nothing', undefined, 0, 0],
]
for (const [name, known, reading, added] of readings)
  test(name, () => {
    assert.equal(newUse(known, reading), added)
  })

test('rows become totals of the whole and of each day, oldest first', () => {
  const { totals, days } = sumUsage([
    { day: '2026-11-02', meter: 'cpu_ms', total: 5 },
    { day: '2026-11-01', meter: 'cpu_ms', total: 3 },
    { day: '2026-11-01', meter: 'egress_in_bytes', total: 7 },
  ])
  assert.deepEqual(totals, { ...noTotals(), cpu_ms: 8, egress_in_bytes: 7 })
  assert.deepEqual(
    days.map((day) => [day.day, day.totals.cpu_ms, day.totals.egress_in_bytes]),
    [
      ['2026-11-01', 3, 7],
      ['2026-11-02', 5, 0],
    ],
  )
})

test('bandwidth is what crossed the border, both ways, and nothing else', () => {
  const totals = {
    ...noTotals(),
    egress_in_bytes: 1,
    egress_out_bytes: 10,
    gateway_in_bytes: 100,
    gateway_out_bytes: 1000,
    cpu_ms: 5,
    model_input_tokens: 9,
  }
  assert.equal(bandwidthBytes(totals), 1111)
})

test('a usage period is a month in UTC, its end belonging to the next', () => {
  assert.deepEqual(usagePeriod('2026-12'), {
    start: new Date('2026-12-01T00:00:00Z'),
    end: new Date('2027-01-01T00:00:00Z'),
  })
  assert.equal(monthOf(new Date('2026-11-30T23:59:59.999Z')), '2026-11')
  assert.equal(dayOf(new Date('2026-12-01T00:00:00Z')), '2026-12-01')
})
