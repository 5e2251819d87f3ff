import assert from 'node:assert/strict'
import { test } from 'node:test'
import { coalesced } from './coalesce.ts'

test('calls during a run share one more, which begins after them', async () => {
  const runs: PromiseWithResolvers<void>[] = []
  const call = coalesced(() => {
    const run = Promise.withResolvers<void>()
    runs.push(run)
    return run.promise
  })
  const first = call()
  const others = [call(), call(), call()]
  assert.equal(runs.length, 1)
  runs[0]?.resolve()
  await first
  await new Promise(setImmediate)
  assert.equal(runs.length, 2)
  runs[1]?.resolve()
  await Promise.all(others)
  assert.equal(runs.length, 2)
})

test('a run that fails fails its own callers only', async () => {
  let count = 0
  const call = coalesced(async () => {
    count += 1
    if (count === 1) throw new Error('the first')
  })
  const [first, second] = [call(), call()]
  await assert.rejects(first, /the first/)
  await second
  await call()
  assert.equal(count, 3)
})
