import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { SlopboxError } from '../contract/errors.ts'
import type { DesiredSandbox } from '../contract/sync.ts'
import { silentLog } from '../lib/log.ts'
import { createReconciler, type Reconciler } from './reconcile.ts'
import { openRecords } from './records.ts'
import { answering, mapDriver, temporary, wanted, type MapDriver } from './testing.ts'
import type { TemplateRoots } from './templates.ts'

const root = { key: 'base-1', layers: ['/x'], env: {}, user: 'user', cwd: '/' }
const allReady: TemplateRoots = {
  need: () => ({ ready: true, reason: null }),
  root: () => root,
  owns: (id) => id.startsWith('bd'),
}

interface World extends AsyncDisposable {
  map: MapDriver
  reconciler: Reconciler
  clock: { now: number }
  sampled: string[]
  /** Rounds until nothing is to be done any more. */
  settle(): Promise<void>
  want(...desired: DesiredSandbox[]): Promise<void>
  seen(id: string): Omit<ReturnType<Reconciler['observed']>[number], 'id'> | undefined
}

function world(directory: string, map = mapDriver(), templates = allReady): World {
  const clock = { now: 1_000_000 }
  const sampled: string[] = []
  const wakes = { count: 0 }
  const reconciler = createReconciler({
    driver: map.driver,
    templates,
    records: openRecords(join(directory, 'records'), (_id, error) => assert.fail(String(error))),
    usage: {
      sample: async (id) => void sampled.push(id),
      forget: (id) => void sampled.push(`forget ${id}`),
      ids: () => [],
    },
    now: () => clock.now,
    log: silentLog,
    onChange() {},
    wake: () => void (wakes.count += 1),
  })
  const settle = async (): Promise<void> => {
    for (let calm = 0; calm < 2;) {
      const [calls, woken] = [map.calls.length, wakes.count]
      await reconciler.tick()
      await reconciler.idle()
      await new Promise(setImmediate)
      calm = map.calls.length === calls && wakes.count === woken ? calm + 1 : 0
    }
  }
  return {
    map,
    reconciler,
    clock,
    sampled,
    settle,
    async want(...desired) {
      reconciler.setDesired(desired)
      await settle()
    },
    seen: (id) => reconciler.observed().find((one) => one.id === id),
    [Symbol.asyncDispose]: () => reconciler[Symbol.asyncDispose](),
  }
}
const verbs = (map: MapDriver): string[] => map.calls.map((call) => call.split(' ')[0] ?? '')

test('a new sandbox is made, given its files, started, and nothing more', async () => {
  using directory = temporary()
  await using w = world(directory.path)
  const want = wanted(
    {},
    { files: [{ path: 'a', content: 'at {{sandboxAddress}} by {{hostAddress}}', executable: false }] },
  )
  await w.want(want)
  assert.deepEqual(verbs(w.map), ['create', 'writeFiles', 'start'])
  assert.equal(w.map.get(want.id).files[0]?.content, 'at 10.9.0.2 by 10.9.0.1')
  const seen = w.seen(want.id)
  assert.deepEqual([seen?.state, seen?.step, seen?.ready, seen?.generation], ['running', null, true, 1])
  assert.deepEqual(Object.keys(seen?.marks ?? {}).toSorted(), ['bootedAt', 'createdAt', 'readyAt', 'templateAt'])
  await w.settle()
  assert.equal(w.map.calls.length, 3)
})

test('another host process goes on where the first was killed, at any line', async () => {
  using directory = temporary()
  const want = wanted()
  const map = mapDriver()
  for (const cut of ['create', 'writeFiles', 'start']) {
    // Killed before the verb acted: its promise never settles in that life.
    const first = world(directory.path, map)
    const reached = Promise.withResolvers<void>()
    map.before.verb = (verb) => {
      if (verb !== cut) return undefined
      reached.resolve()
      return new Promise<void>(() => {})
    }
    first.reconciler.setDesired([want])
    await first.reconciler.tick()
    await reached.promise
  }
  map.before.verb = () => {}
  await using last = world(directory.path, map)
  await last.want(want)
  assert.equal(last.seen(want.id)?.state, 'running')
  assert.equal(map.get(want.id).runs, 1)
})

test('a host that comes back adopts what runs without touching it', async () => {
  using directory = temporary()
  const map = mapDriver()
  map.handlers.dial = answering(() => 200)
  const want = wanted({}, { ready: { port: 80, path: '/', headers: {}, timeoutMs: 60_000 } })
  {
    await using w = world(directory.path, map)
    await w.want(want)
    assert.equal(w.seen(want.id)?.ready, true)
  }
  const before = map.calls.length
  await using again = world(directory.path, map)
  await again.want(want)
  assert.equal(map.calls.length, before)
  assert.deepEqual([again.seen(want.id)?.state, again.seen(want.id)?.ready], ['running', true])
})

test('a new generation is one stop and one start', async () => {
  using directory = temporary()
  await using w = world(directory.path)
  const want = wanted()
  await w.want(want)
  w.map.calls.length = 0
  await w.want({ ...want, generation: 2 })
  assert.deepEqual(verbs(w.map), ['stop', 'start'])
  assert.equal(w.seen(want.id)?.generation, 2)
})

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

test('destroying takes the named volumes along, is counted last, and is forgotten with the wish', async () => {
  using directory = temporary()
  await using w = world(directory.path)
  const want = wanted()
  await w.want(want)
  await w.want({ ...want, state: 'destroyed', deleteVolumes: ['v1'] })
  assert.equal(w.map.calls.at(-1), `destroy+v1 ${want.id}`)
  assert.equal(w.seen(want.id)?.state, 'destroyed')
  const calls = w.map.calls.length
  await w.settle()
  assert.equal(w.map.calls.length, calls, 'once is enough')
  await w.want()
  assert.equal(w.seen(want.id), undefined)
  assert.ok(w.sampled.indexOf(want.id) < w.sampled.indexOf(`forget ${want.id}`))
})

test('a sandbox nobody knows is destroyed at the second sight, and builds are left alone', async () => {
  using directory = temporary()
  await using w = world(directory.path)
  const known = wanted()
  const spec = {
    template: root,
    isolation: 'container',
    size: known.spec.size,
    env: {},
    user: null,
    cwd: null,
  } as const
  for (const id of ['sbstranger', 'bdbuild'])
    await w.map.driver.create(id, { ...spec, start: null, files: [], volumes: [], power: 'none' })
  await w.want(known)
  await w.settle()
  assert.ok(w.map.world.has('sbstranger'), 'one answer is not enough, however many rounds pass')
  await w.want(known)
  assert.deepEqual([...w.map.world.keys()].toSorted(), ['bdbuild', known.id])
})

test('a stranger that becomes known in between is kept', async () => {
  using directory = temporary()
  await using w = world(directory.path)
  const [first, late] = [wanted(), wanted()]
  await w.want(first, late)
  await w.want(first)
  await w.want(first, late)
  await w.want(first)
  assert.ok(w.map.world.has(late.id))
})

test('nothing is done before control has said anything', async () => {
  using directory = temporary()
  await using w = world(directory.path)
  const spec = wanted().spec
  const rest = { start: null, files: [], volumes: [], power: 'none', template: root } as const
  await w.map.driver.create('sbstranger', {
    ...rest,
    isolation: 'container',
    size: spec.size,
    env: {},
    user: null,
    cwd: null,
  })
  await w.settle()
  await w.settle()
  assert.ok(w.map.world.has('sbstranger'))
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

test('it is ready when its port answers, asked with the headers of the check', async () => {
  using directory = temporary()
  await using w = world(directory.path)
  let status = 503
  const asked = Promise.withResolvers<string>()
  w.map.handlers.dial = answering(() => status, asked.resolve)
  const check = { port: 18789, path: '/up', headers: { 'x-from': '{{hostAddress}}' }, timeoutMs: 60_000 }
  const want = wanted({}, { ready: check })
  w.reconciler.setDesired([want])
  await w.reconciler.tick()
  const request = await asked.promise
  assert.match(request, /^GET \/up HTTP/)
  assert.match(request, /x-from: 10\.9\.0\.1/i)
  assert.equal(w.seen(want.id)?.ready, false)
  status = 204
  while (w.seen(want.id)?.ready !== true) {
    await w.reconciler.tick()
    await new Promise(setImmediate)
  }
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

test('pausing and resuming keep the run', async () => {
  using directory = temporary()
  await using w = world(directory.path)
  const want = wanted()
  await w.want(want)
  await w.want({ ...want, state: 'paused' })
  assert.equal(w.seen(want.id)?.state, 'paused')
  await w.want(want)
  assert.equal(w.seen(want.id)?.state, 'running')
  assert.deepEqual(verbs(w.map).slice(-2), ['pause', 'resume'])
})
