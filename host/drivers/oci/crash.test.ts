import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { whyNoOci } from './probe.ts'
import { ociWorld, type OciWorld } from './testing.ts'

const reason = whyNoOci('crun')
const skip = reason === undefined ? {} : { skip: reason }
const module = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

/** A host process of its own that does one verb after another for ever; killed where the test likes. */
function victim(world: OciWorld): ReturnType<typeof spawn> {
  const { log: _, ...options } = world.options
  const script = `
    const { ociDriver } = await import(${JSON.stringify(module('./driver.ts'))})
    const { silentLog } = await import(${JSON.stringify(module('../../../lib/log.ts'))})
    const driver = await ociDriver({ ...${JSON.stringify(options)}, log: silentLog })
    const spec = ${JSON.stringify(world.spec({ start: { command: ['sleep', '600'], stopGraceMs: 0 } }))}
    for (;;) {
      await driver.create('sb1', spec); await driver.start('sb1'); await driver.stop('sb1'); await driver.destroy('sb1', [])
    }`
  return spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' })
}

/** Signs on disk and in the kernel that a verb has got so far. */
function moments(world: OciWorld): Record<(typeof names)[number], () => boolean> {
  const dir = join(world.options.dataDir, 'sandboxes', 'sb1')
  const phase = (name: string) => (): boolean => {
    try {
      return readFileSync(join(dir, 'run.json'), 'utf8').includes(`"phase":"${name}"`)
    } catch {
      return false
    }
  }
  const link = (): boolean => readdirSync('/sys/class/net').some((n) => n.startsWith(`s${world.options.instance}`))
  return {
    'its directory is there': () => existsSync(dir),
    'it exists': () => existsSync(join(dir, 'state.json')),
    'it is being launched': phase('launching'),
    'its init is there': () => existsSync(`/run/slopbox-${world.options.instance}/pids/sb1`),
    'its link is there': link,
    'it runs': phase('running'),
    'it has ended': phase('ended'),
    'it is being removed': () => readdirSync(join(dir, '..')).some((name) => name.startsWith('.trash-')),
  }
}

const names = [
  'its directory is there',
  'it exists',
  'it is being launched',
  'its init is there',
  'its link is there',
  'it runs',
  'it has ended',
  'it is being removed',
] as const
for (const name of names) {
  test(`a host process killed when ${name} is repaired by the next one`, { ...skip, timeout: 120_000 }, async () => {
    await using world = await ociWorld('crun')
    const reached = moments(world)[name]
    const child = victim(world)
    try {
      while (!reached() && child.exitCode === null) await sleep(0)
      assert.equal(child.exitCode, null)
    } finally {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    const driver = await world.reopen()
    const before = (await driver.list()).get('sb1')
    await driver.create('sb1', world.spec({}))
    await driver.start('sb1')
    assert.equal((await driver.list()).get('sb1')?.state, 'running')
    const execution = await driver.exec('sb1', { command: ['true'], env: {}, cwd: undefined, user: undefined })
    execution.stdout.resume()
    execution.stderr.resume()
    assert.deepEqual(await execution.exited, { code: 0, signal: null }, `it was ${before?.state}`)
    await driver.destroy('sb1', [])
    assert.deepEqual(readdirSync(join(world.options.dataDir, 'sandboxes')), [])
    await driver.purge()
    assert.deepEqual(world.traces(), [])
  })
}

test('nothing is left on the machine when the last sandbox is gone', skip, async (t) => {
  await using world = await ociWorld('crun')
  const namespaces = (): Set<string> =>
    new Set(readdirSync('/proc').flatMap((pid) => (/^\d+$/.test(pid) ? readNamespace(pid) : [])))
  const rules = world.traces().filter((trace) => trace.startsWith('table'))
  assert.equal(rules.length, 1)
  const volumes = [{ id: 'vol1', path: '/work' }]
  for (const id of ['sb1', 'sb2'])
    await world.driver.create(id, world.spec({ volumes, start: { command: ['sleep', '600'], stopGraceMs: 0 } }))
  await Promise.all(['sb1', 'sb2'].map((id) => world.driver.start(id)))
  const held: number[] = []
  t.after(() => held.forEach((fd) => closeSync(fd)))
  const own = ['sb1', 'sb2'].map((id) => {
    const pid = readFileSync(`/run/slopbox-${world.options.instance}/pids/${id}`, 'utf8').trim()
    // Held open, so that nobody else on the machine gets its number while we look for it.
    held.push(openSync(`/proc/${pid}/ns/net`, 'r'))
    return readNamespace(pid)[0] ?? ''
  })
  assert.ok(own.every((namespace) => namespaces().has(namespace)))
  assert.deepEqual(
    world.traces().filter((trace) => / - overlay | - tmpfs /.test(trace)),
    [],
  )
  await world.driver.destroy('sb1', [])
  await world.driver.destroy('sb2', ['vol1'])
  assert.ok(own.every((namespace) => !namespaces().has(namespace)))
  assert.deepEqual(readdirSync(join(world.options.dataDir, 'volumes')), [])
  await world.driver.purge()
  assert.deepEqual(world.traces(), [])
})

test('a half-written sandbox does not exist and is made anew', skip, async () => {
  await using world = await ociWorld('crun')
  const dir = join(world.options.dataDir, 'sandboxes', 'sb1')
  mkdirSync(join(dir, 'data/upper'), { recursive: true })
  writeFileSync(join(dir, 'data/upper/old'), 'old')
  const driver = await world.reopen()
  assert.equal((await driver.list()).size, 0)
  assert.equal(existsSync(dir), false)
  await driver.create('sb1', world.spec({}))
  assert.deepEqual(readdirSync(join(dir, 'data/upper')), [])
})

/** The network namespace of a process; none when it ended while we looked. */
function readNamespace(pid: string): string[] {
  try {
    return [readlinkSync(`/proc/${pid}/ns/net`)]
  } catch {
    return []
  }
}
