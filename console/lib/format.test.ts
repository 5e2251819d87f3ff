import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  addMonths,
  formatAgo,
  formatBytes,
  formatCents,
  formatCount,
  formatDuration,
  formatFor,
  formatMonth,
} from './format.ts'

test('bytes are shown in powers of 1024 and never as 1024 of a smaller unit', () => {
  const cases: [number, string][] = [
    [0, '0 B'],
    [512, '512 B'],
    [1023, '1023 B'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [1024 * 1024 - 1, '1 MiB'],
    [23.4 * 1024 ** 2, '23.4 MiB'],
    [512 * 1024 ** 3, '512 GiB'],
    [-2048, '−2 KiB'],
  ]
  for (const [bytes, text] of cases) assert.equal(formatBytes(bytes), text)
})

test('counts get a suffix from a thousand on', () => {
  const cases: [number, string][] = [
    [0, '0'],
    [999, '999'],
    [1000, '1k'],
    [1240, '1.2k'],
    [999_999, '1M'],
    [5_600_000, '5.6M'],
    [2e9, '2B'],
  ]
  for (const [count, text] of cases) assert.equal(formatCount(count), text)
})

test('durations use at most two units', () => {
  const cases: [number, string][] = [
    [0, '0 ms'],
    [850, '850 ms'],
    [12_400, '12.4 s'],
    [59_990, '1 min'],
    [185_000, '3 min 5 s'],
    [7_800_000, '2 h 10 min'],
    [4 * 86_400_000 + 3 * 3_600_000, '4 d 3 h'],
  ]
  for (const [ms, text] of cases) assert.equal(formatDuration(ms), text)
})

test('times are relative to now, in both directions', () => {
  const now = Date.parse('2026-11-21T12:00:00Z')
  assert.equal(formatAgo('2026-11-21T11:59:40Z', now), 'just now')
  assert.equal(formatAgo('2026-11-21T11:55:00Z', now), '5 min ago')
  assert.equal(formatAgo('2026-11-21T09:00:00Z', now), '3 h ago')
  assert.equal(formatAgo('2026-11-25T12:00:00Z', now), 'in 4 d')
  assert.equal(formatFor('2026-11-21T11:55:00Z', now), 'for 5 min')
  assert.equal(formatFor('2026-11-21T12:00:00Z', now), 'just now')
})

test('money is cents, months are UTC', () => {
  assert.equal(formatCents(1250), '$12.50')
  assert.equal(formatMonth('2026-01'), 'January 2026')
  assert.equal(addMonths('2026-12', 1), '2027-01')
  assert.equal(addMonths('2026-01', -1), '2025-12')
})
