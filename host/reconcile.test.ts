import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answering, mapDriver, temporary, wanted } from './testing.ts'
import { root, verbs, world } from './testing-reconcile.ts'

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

test('a start that was asked for has marks of its own, one after a crash keeps those it had', async () => {
  using directory = temporary()
  await using w = world(directory.path)
  const want = wanted()
  await w.want(want)
  const first = w.seen(want.id)?.marks ?? {}
  await w.want({ ...want, state: 'stopped' })
  w.clock.now += 5_000
  await w.want(want)
  const second = w.seen(want.id)?.marks ?? {}
  assert.deepEqual([second.templateAt, second.createdAt], [first.templateAt, first.createdAt])
  const at = new Date(w.clock.now).toISOString()
  assert.deepEqual([second.bootedAt, second.readyAt], [at, at])
  w.map.crash(want.id, { code: 1, signal: null, outOfMemory: false })
  await w.settle()
  w.clock.now += 60_000
  await w.settle()
  assert.equal(w.seen(want.id)?.restarts, 1)
  assert.deepEqual(w.seen(want.id)?.marks, second)
})

test('pausing freezes, resuming thaws without a start, and a pause that cannot be says why', async () => {
  using directory = temporary()
  await using w = world(directory.path)
  const want = wanted()
  await w.want(want)
  w.map.calls.length = 0
  await w.want({ ...want, state: 'paused' })
  assert.equal(w.seen(want.id)?.state, 'paused')
  await w.want(want)
  assert.deepEqual(verbs(w.map), ['pause', 'resume'])
  assert.deepEqual([w.seen(want.id)?.state, w.seen(want.id)?.ready], ['running', true])
  w.map.before.verb = (verb) => {
    if (verb === 'pause') throw new Error('the kernel said no')
  }
  await w.want({ ...want, state: 'paused' })
  assert.match(w.seen(want.id)?.reason ?? '', /pausing it: the kernel said no/)
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

test('a host that comes back says nothing of a sandbox before it has looked', async () => {
  using directory = temporary()
  await using w = world(directory.path)
  const want = wanted()
  w.reconciler.setDesired([want])
  assert.deepEqual(w.reconciler.observed(), [])
  await w.settle()
  assert.equal(w.seen(want.id)?.state, 'running')
})
