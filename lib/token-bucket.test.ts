import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tokenBuckets } from './token-bucket.ts'

test('a key gets its burst at once and then its rate, each key for itself', () => {
  let now = 0
  const buckets = tokenBuckets({ burst: 2, perSecond: 4, maxKeys: 10, now: () => now })
  assert.deepEqual([buckets.take('a'), buckets.take('a'), buckets.take('a')], [0, 0, 250])
  assert.equal(buckets.take('b'), 0)
  now = 200
  assert.equal(buckets.take('a'), 50)
  now = 250
  assert.equal(buckets.take('a'), 0)
  now = 1_000_000
  assert.deepEqual([buckets.take('a'), buckets.take('a'), buckets.take('a')], [0, 0, 250])
})

test('memory is bounded: the key longest unused is forgotten', () => {
  const buckets = tokenBuckets({ burst: 1, perSecond: 1, maxKeys: 2, now: () => 0 })
  buckets.take('a')
  buckets.take('b')
  buckets.take('a')
  buckets.take('c')
  assert.equal(buckets.take('b'), 0, 'forgotten, so full again')
  assert.equal(buckets.take('c'), 1000)
})
