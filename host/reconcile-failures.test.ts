import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SlopboxError } from '../contract/errors.ts'
import { answering, mapDriver, temporary, wanted } from './testing.ts'
import { allReady, verbs, world } from './testing-reconcile.ts'

test('a crash is restarted after a while, with its reason shown and counted', async () => {
  using directory = temporary()
  await using w = world(directory.path)
  const want = wanted()
  await w.want(want)
  w.map.crash(want.id, { code: 9, signal: null, outOfMemory: false })
  await w.settle()
  assert.match(w.seen(want.id)?.reason ?? '', /exited with code 9.*restarts/)
  assert.equal(w.seen(want.id)?.state, 'creating')
  w.clock.now += 1_000
  await w.settle()
  const seen = w.seen(want.id)
  assert.deepEqual([seen?.state, seen?.reason, seen?.restarts], ['running', null, 1])
  w.map.crash(want.id, { code: 9, signal: null, outOfMemory: false })
  await w.settle()
  w.clock.now += 1_000
  await w.settle()
  assert.equal(w.seen(want.id)?.state, 'creating', 'the second wait is longer')
  w.clock.now += 1_000
  await w.settle()
  assert.equal(w.seen(want.id)?.state, 'running')
})

test('stopping a crashed one and starting it again does not wait', async () => {
  using directory = temporary()
  await using w = world(directory.path)
  const want = wanted()
  await w.want(want)
  w.map.crash(want.id, { code: 1, signal: null, outOfMemory: true })
  await w.want({ ...want, state: 'stopped' })
  assert.equal(w.seen(want.id)?.state, 'stopped')
  await w.want({ ...want, generation: 2 })
  assert.deepEqual([w.seen(want.id)?.state, w.seen(want.id)?.generation], ['running', 2])
})

test('changed files are put in and applied while it runs; a failing apply is told and repeated', async () => {
  using directory = temporary()
  await using w = world(directory.path)
  const want = wanted({}, { onFilesChanged: ['apply'] })
  await w.want(want)
  let code = 4
  w.map.handlers.exec = (played) => {
    played.stderr.write('no space')
    played.end(code)
  }
  w.map.calls.length = 0
  const changed = { ...want, spec: { ...want.spec, files: [{ path: 'b', content: 'new', executable: false }] } }
  await w.want(changed)
  const failed = w.seen(want.id)
  assert.equal(failed?.state, 'running')
  assert.match(failed?.reason ?? '', /apply exited with code 4: no space/)
  code = 0
  w.clock.now += 1_000
  await w.settle()
  assert.deepEqual(verbs(w.map), ['writeFiles', 'exec', 'writeFiles', 'exec'])
  assert.equal(w.seen(want.id)?.reason, null)
  assert.equal(w.map.get(want.id).files[0]?.content, 'new')
})

test('a failing verb is shown with its reason, waits longer each time, and then goes through', async () => {
  using directory = temporary()
  await using w = world(directory.path)
  const want = wanted()
  let broken = true
  w.map.before.verb = (verb) => {
    if (verb === 'create' && broken) throw new SlopboxError('no_capacity', 'disk is full', { hint: 'free some' })
  }
  await w.want(want)
  assert.deepEqual([w.seen(want.id)?.state, w.seen(want.id)?.step], ['error', 'creating'])
  assert.equal(w.seen(want.id)?.reason, 'creating the sandbox: disk is full (free some)')
  for (const wait of [999, 1, 1_999]) {
    w.clock.now += wait
    await w.settle()
  }
  assert.deepEqual(verbs(w.map), ['create', 'create'])
  broken = false
  w.clock.now += 1
  await w.settle()
  assert.deepEqual([w.seen(want.id)?.state, w.seen(want.id)?.reason], ['running', null])
})

test('a wish that changed is not held up by an old failure', async () => {
  using directory = temporary()
  await using w = world(directory.path)
  const want = wanted()
  w.map.before.verb = (verb) => {
    if (verb === 'start') throw new Error('no')
  }
  await w.want(want)
  assert.equal(w.seen(want.id)?.state, 'error')
  await w.want({ ...want, state: 'stopped' })
  assert.deepEqual([w.seen(want.id)?.state, w.seen(want.id)?.reason], ['stopped', null])
})

test('different sandboxes do not wait for one that hangs', async () => {
  using directory = temporary()
  await using w = world(directory.path)
  const [slow, quick] = [wanted(), wanted()]
  const hang = Promise.withResolvers<void>()
  w.map.before.verb = (verb, id) => (verb === 'create' && id === slow.id ? hang.promise : undefined)
  w.reconciler.setDesired([slow, quick])
  while (w.seen(quick.id)?.state !== 'running') {
    await w.reconciler.tick()
    await new Promise(setImmediate)
  }
  assert.deepEqual([w.seen(slow.id)?.state, w.seen(slow.id)?.step], ['creating', 'creating'])
  hang.resolve()
  await w.settle()
  assert.equal(w.seen(slow.id)?.state, 'running')
})

test('a template that is missing is waited for and its failure is shown', async () => {
  using directory = temporary()
  const state = { ready: false, reason: null as string | null }
  await using w = world(directory.path, mapDriver(), { ...allReady, need: () => state })
  const want = wanted()
  await w.want(want)
  assert.deepEqual([w.seen(want.id)?.state, w.seen(want.id)?.step], ['creating', 'template'])
  state.reason = 'step 2 failed'
  await w.settle()
  assert.deepEqual([w.seen(want.id)?.state, w.seen(want.id)?.reason], ['error', 'step 2 failed'])
  state.ready = true
  await w.settle()
  assert.equal(w.seen(want.id)?.state, 'running')
})

test('one that is not ready in time says why and may still come up', async () => {
  using directory = temporary()
  await using w = world(directory.path)
  const want = wanted({}, { ready: { port: 7, path: '/', headers: {}, timeoutMs: 1 } })
  w.reconciler.setDesired([want])
  while (w.seen(want.id)?.state !== 'error') {
    await w.reconciler.tick()
    await new Promise(setImmediate)
  }
  assert.match(w.seen(want.id)?.reason ?? '', /not ready after 0 s: port 7: nothing listens yet/)
  w.map.handlers.dial = answering(() => 200)
  while (w.seen(want.id)?.state !== 'running') {
    await w.reconciler.tick()
    await new Promise(setImmediate)
  }
  assert.equal(w.seen(want.id)?.reason, null)
})

test('a verb that never ends is reported in time, holds its own sandbox, and is not begun twice', async (t) => {
  using directory = temporary()
  await using w = world(directory.path)
  const want = wanted()
  const hang = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  w.map.before.verb = (verb) => {
    if (verb !== 'start') return undefined
    begun.resolve()
    return hang.promise
  }
  t.mock.timers.enable({ apis: ['setTimeout'] })
  w.reconciler.setDesired([want])
  await w.reconciler.tick()
  await begun.promise
  t.mock.timers.tick(60_000)
  while (w.seen(want.id)?.state !== 'error') await new Promise(setImmediate)
  assert.equal(w.seen(want.id)?.reason?.startsWith('starting it: it takes longer than 60 s'), true)
  t.mock.timers.reset()
  w.clock.now += 3_600_000
  for (let i = 0; i < 3; i++) await w.reconciler.tick()
  assert.deepEqual(verbs(w.map), ['create', 'writeFiles', 'start'])
  hang.resolve()
  await w.settle()
  assert.equal(w.seen(want.id)?.state, 'running')
})

test('two rules that disagree end in an error instead of a circle', async () => {
  using directory = temporary()
  await using w = world(directory.path)
  const want = wanted()
  w.map.driver.start = async (id) => void w.map.calls.push(`start ${id}`)
  await w.want(want)
  assert.match(w.seen(want.id)?.reason ?? '', /does not settle/)
  const calls = w.map.calls.length
  await w.settle()
  assert.equal(w.map.calls.length, calls, 'it is left alone for a while')
})
