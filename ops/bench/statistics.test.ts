import assert from 'node:assert/strict'
import { test } from 'node:test'
import { summarize } from './statistics.ts'

const hundred = Array.from({ length: 100 }, (_, i) => 100 - i)
const cases = [
  ['one value is every figure', [7], { n: 1, p50: 7, p95: 7, p99: 7, min: 7, max: 7 }],
  ['a hundred values, unsorted', hundred, { n: 100, p50: 50, p95: 95, p99: 99, min: 1, max: 100 }],
  ['an even number takes the lower middle', [1, 2, 3, 4], { n: 4, p50: 2, p95: 4, p99: 4, min: 1, max: 4 }],
] as const
for (const [name, values, wanted] of cases) test(name, () => assert.deepEqual(summarize(values), wanted))

test('nothing measured is an error, not a zero', () => assert.throws(() => summarize([]), /nothing was measured/))
