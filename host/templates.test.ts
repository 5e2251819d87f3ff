import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { DesiredTemplate } from '../contract/sync.ts'
import { silentLog } from '../lib/log.ts'
import { plain } from './build-sandbox.ts'
import { createTemplates } from './templates.ts'
import { mapDriver, temporary, template, type MapDriver } from './testing.ts'

const nothing = { hosts: [], codename: 'bookworm', apt: [], npmrc: 'registry=https://n.test/\n' }

function world(directory: string, map = mapDriver()) {
  const clock = { now: 1_000_000 }
  const settled: (() => void)[] = []
  const templates = createTemplates({
    driver: map.driver,
    directory,
    registries: async () => nothing,
    now: () => clock.now,
    log: silentLog,
    onChange() {},
    wake: () => settled.splice(0).forEach((resolve) => resolve()),
  })
  return {
    map,
    clock,
    templates,
    /** Resolves when a build ends. */
    ended: () => new Promise<void>((resolve) => settled.push(resolve)),
    state: (key: string) => templates.observed().find((one) => one.key === key),
    [Symbol.asyncDispose]: () => templates[Symbol.asyncDispose](),
  }
}

/** A base as a finished build leaves it. */
function putRoot(directory: string, key = 'root-1'): void {
  mkdirSync(join(directory, key, 'base'), { recursive: true })
  const meta = {
    key,
    name: 'root',
    parent: null,
    layers: ['base'],
    env: { PATH: '/bin', A: 'root' },
    user: 'root',
    cwd: '/',
  }
  writeFileSync(
    join(directory, key, 'meta.json'),
    JSON.stringify({ ...meta, sizeBytes: 1, builtAt: new Date(0).toISOString() }),
  )
}

async function build(w: ReturnType<typeof world>, ...desired: DesiredTemplate[]): Promise<void> {
  w.templates.setDesired(desired)
  const ended = w.ended()
  w.templates.tick()
  await ended
}

test('a template is its parent with one more layer, made by its steps in a build sandbox', async () => {
  using directory = temporary()
  putRoot(directory.path)
  await using w = world(directory.path)
  const want = template({ env: { A: 'child' }, steps: [{ title: 'install', run: 'install it' }], wanted: true })
  const seen: unknown[] = []
  w.map.handlers.exec = (played) => {
    const spec = w.map.get(played.id).spec
    seen.push(played.request.command, played.request.user, spec.power, spec.template.layers, spec.template.env)
    seen.push(played.request.env['npm_config_registry'])
    played.stdout.write('half a li')
    played.stdout.write('ne\n\u001b[32mgreen\u001b[0m\n')
    played.end(0)
  }
  await build(w, want)
  const base = join(directory.path, 'root-1/base')
  assert.deepEqual(seen, [
    ['/bin/sh', '-c', 'install it'],
    'root',
    'build',
    [base],
    { PATH: '/bin', A: 'child' },
    'https://n.test/',
  ])
  assert.equal(w.state('base-1')?.state, 'ready')
  assert.equal(w.state('base-1')?.sizeBytes, 3)
  const root = w.templates.root('base-1')
  assert.deepEqual(root.layers, [join(directory.path, 'base-1/steps'), base])
  assert.deepEqual([root.env, root.user, root.cwd], [{ PATH: '/bin', A: 'child' }, 'user', '/home/user'])
  assert.equal(readFileSync(join(root.layers[0] ?? '', 'made-by-steps'), 'utf8'), 'yes')
  assert.equal(w.map.world.size, 0, 'the build sandbox is gone')
  const order = w.map.calls.map((call) => call.split(' ')[0])
  assert.deepEqual(order, ['destroy', 'create', 'writeFiles', 'start', 'exec', 'stop', 'exportLayer', 'destroy'])
})

test('a build that fails half-way says which step, keeps the last lines, and leaves nothing', async () => {
  using directory = temporary()
  putRoot(directory.path)
  await using w = world(directory.path)
  const steps = ['first', 'second', 'third'].map((title) => ({ title, run: title }))
  const want = template({ steps, wanted: true })
  w.map.handlers.exec = (played) => {
    const fails = played.request.command[2] === 'second'
    for (let i = 0; i < 30; i++) played.stdout.write(`line ${i}\n`)
    if (fails) played.stderr.write('E: cannot go on\n')
    played.end(fails ? 100 : 0)
  }
  await build(w, want)
  const state = w.state('base-1')
  assert.equal(state?.state, 'failed')
  assert.equal(state?.reason, 'step 2 of 4, second: exited with code 100: E: cannot go on')
  assert.equal(state?.progress?.lines.length, 20)
  assert.deepEqual(readdirSync(directory.path).toSorted(), ['root-1'])
  assert.equal(w.map.world.size, 0)
  assert.equal(w.map.calls.filter((call) => call.startsWith('exec')).length, 2, 'the third did not run')
  assert.match(w.templates.need('base-1').reason ?? '', /template base could not be built: step 2 of 4/)
})

test('a failed build is tried again after a while, or at once when control asks anew', async () => {
  using directory = temporary()
  putRoot(directory.path)
  await using w = world(directory.path)
  const want = template({ wanted: true })
  let code = 1
  w.map.handlers.exec = (played) => played.end(code)
  await build(w, want)
  const execs = (): number => w.map.calls.filter((call) => call.startsWith('exec')).length
  w.templates.tick()
  assert.equal(w.state('base-1')?.state, 'failed')
  w.clock.now += 10_000
  await build(w, want)
  assert.equal(execs(), 2)
  w.templates.tick()
  assert.equal(w.state('base-1')?.state, 'failed', 'the second wait is longer')
  code = 0
  await build(w, { ...want, buildId: 'bdanother' })
  assert.deepEqual([w.state('base-1')?.state, execs()], ['ready', 3])
})

test('what is not wanted is built when a sandbox needs it, its parent first', async () => {
  using directory = temporary()
  putRoot(directory.path)
  await using w = world(directory.path)
  const parent = template({ key: 'parent-1', name: 'parent' })
  const child = template({ key: 'child-1', name: 'child', from: { kind: 'template', key: 'parent-1' } })
  w.templates.setDesired([child, parent])
  w.templates.tick()
  assert.deepEqual([w.state('parent-1')?.state, w.state('child-1')?.state], ['absent', 'absent'])
  const both = Promise.all([w.ended(), w.ended()]).then(() => w.ended())
  assert.deepEqual(w.templates.need('child-1'), { ready: false, reason: null })
  await both
  assert.deepEqual(w.templates.need('child-1'), { ready: true, reason: null })
  const built = w.map.calls.filter((call) => call.startsWith('create')).map((call) => call.split(' ')[1])
  assert.deepEqual(built, [parent.buildId, child.buildId])
  assert.equal(w.templates.root('child-1').layers.length, 3)
})

test('a parent that cannot be built is the reason of its child too', async () => {
  using directory = temporary()
  putRoot(directory.path)
  await using w = world(directory.path)
  w.map.handlers.exec = (played) => played.end(1)
  const parent = template({ key: 'parent-1', name: 'parent' })
  const child = template({ key: 'child-1', name: 'child', from: { kind: 'template', key: 'parent-1' } })
  w.templates.setDesired([child, parent])
  w.templates.need('child-1')
  while (w.state('child-1')?.state !== 'failed') await w.ended()
  assert.match(w.state('child-1')?.reason ?? '', /step 1 of 2, one step: exited with code 1/)
})

test('another host process cleans up what an unfinished build left and uses what is complete', async () => {
  using directory = temporary()
  putRoot(directory.path)
  mkdirSync(join(directory.path, '.unfinished-base-1/steps'), { recursive: true })
  const map = mapDriver()
  await map.driver.create('bdleft', { ...rest, template: { key: 'k', layers: [], env: {}, user: 'u', cwd: '/' } })
  await map.driver.create('sbkept', { ...rest, template: { key: 'k', layers: [], env: {}, user: 'u', cwd: '/' } })
  await using w = world(directory.path, map)
  await w.templates.cleanUp()
  assert.deepEqual([...map.world.keys()], ['sbkept'])
  assert.ok(!existsSync(join(directory.path, '.unfinished-base-1')))
  assert.deepEqual(w.templates.need('root-1'), { ready: true, reason: null })
})
const rest = {
  isolation: 'container',
  size: { cpus: 1, memoryMiB: 64, diskGiB: 1 },
  env: {},
  user: null,
  cwd: null,
  start: null,
  files: [],
  volumes: [],
  power: 'none',
} as const

test('a build that is under way when the host stops ends with it', async () => {
  using directory = temporary()
  putRoot(directory.path)
  const w = world(directory.path)
  const running = Promise.withResolvers<void>()
  w.map.handlers.exec = () => running.resolve()
  w.templates.setDesired([template({ wanted: true })])
  w.templates.tick()
  await running.promise
  await w[Symbol.asyncDispose]()
  assert.equal(w.map.world.size, 0)
  assert.ok(!existsSync(join(directory.path, 'base-1')))
})

test('a machine without package sources says so', async () => {
  using directory = temporary()
  await using w = world(directory.path)
  await build(w, template({ from: { kind: 'debian', packages: [] }, wanted: true }))
  assert.match(w.state('base-1')?.reason ?? '', /step 1 of 3.*no package source for bookworm/)
})

test('a driver that cannot build says so', async () => {
  using directory = temporary()
  putRoot(directory.path)
  const map: MapDriver = mapDriver()
  delete map.driver.exportLayer
  await using w = world(directory.path, map)
  await build(w, template({ wanted: true }))
  assert.match(w.state('base-1')?.reason ?? '', /driver map cannot build templates/)
})

test('where sandboxes bring their own roots, templates are ready without a build', async () => {
  using directory = temporary()
  const map = mapDriver()
  Object.assign(map.driver, { bringsRoots: true })
  await using w = world(directory.path, map)
  const base = template({ key: 'base-1', from: { kind: 'debian', packages: ['git'] } })
  const child = template({ key: 'child-1', from: { kind: 'template', key: 'base-1' }, wanted: true })
  w.templates.setDesired([child, base])
  w.templates.tick()
  while (w.state('child-1')?.state !== 'ready') await w.ended()
  assert.deepEqual(w.templates.root('child-1').layers, [])
  assert.deepEqual(map.calls, [])
})

const lines: [string, string][] = [
  ['\u001b[1;31mred\u001b[0m', 'red'],
  ['10%\r50%\r100%', '100%'],
  ['done\r', 'done'],
  ['a\tb\u0007', 'a b'],
  ['   ', ''],
]
for (const [text, shown] of lines)
  test(`output ${JSON.stringify(text)} is shown as ${JSON.stringify(shown)}`, () => assert.equal(plain(text), shown))
