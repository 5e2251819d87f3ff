import assert from 'node:assert/strict'
import { test } from 'node:test'
import { line, repeat, tableOf } from './trials.ts'

test('every repetition counts once, also those that fail', async () => {
  const seen: number[] = []
  const trials = await repeat(10, 3, async (i) => {
    seen.push(i)
    if (i === 4) throw new Error('no room')
    return i
  })
  assert.deepEqual(
    seen.toSorted((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  )
  assert.deepEqual([trials.successRate, trials.failure, trials.ms?.n, trials.ms?.max], [0.9, 'no room', 9, 9])
})

test('no more run at once than were asked for', async () => {
  let running = 0
  let most = 0
  await repeat(12, 4, async () => {
    most = Math.max(most, (running += 1))
    await new Promise(setImmediate)
    return (running -= 1)
  })
  assert.equal(most, 4)
})

test('without a peer its figures are null, with one the ratio says how many times faster', async () => {
  const [ours, theirs] = [await repeat(2, 1, async () => 20), await repeat(2, 1, async () => 250.126)]
  const alone = line('tti', ours, null)
  assert.deepEqual([alone.peer, alone.peerP50Ms, alone.peerRatio], [null, null, null])
  const both = line('tti', ours, { name: 'docker', trials: theirs })
  assert.deepEqual([both.p50Ms, both.peer, both.peerP50Ms, both.peerRatio], [20, 'docker', 250.13, 12.51])
})

test('when all failed there are no figures, and the line says why', async () => {
  const none = await repeat(2, 1, () => Promise.reject(new Error('no host')))
  const told = line('tti', none, null)
  assert.deepEqual([told.p50Ms, told.successRate, told.failure], [null, 0, 'no host'])
  assert.match(tableOf([{ name: 'tti', ms: none.ms, successRate: 0 }]), /^tti +- +- +- +- +- +0\.0 %$/m)
})
