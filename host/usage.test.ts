import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { silentLog } from '../lib/log.ts'
import { mapDriver, temporary, wanted } from './testing.ts'
import { advance, createUsage, fresh } from './usage.ts'

const MiB = 1024 * 1024

async function world(directory: string, map = mapDriver()) {
  const clock = { now: 1_000_000 }
  const make = () => createUsage({ driver: map.driver, directory, now: () => clock.now, log: silentLog, onChange() {} })
  return { map, clock, make }
}
const spec = {
  ...wanted().spec,
  template: { key: 'k', layers: [], env: {}, user: 'u', cwd: '/' },
  start: null,
  power: 'none',
} as const

test('readings grow through restarts of the sandbox and of the host, and nothing is counted twice', async () => {
  using directory = temporary()
  const { map, clock, make } = await world(directory.path)
  await map.driver.create('sb1', spec)
  await map.driver.start('sb1')
  Object.assign(map.get('sb1'), { cpuMs: 300, memoryBytes: 100 * MiB })
  const first = make()
  await first.sample('sb1')
  clock.now += 10_000
  map.get('sb1').cpuMs = 700
  await first.sampleAll()
  assert.deepEqual(totals(first), { cpu_ms: 700, memory_mib_s: 1000 })

  // Killed without a word; the sandbox went on for half a minute.
  clock.now += 30_000
  map.get('sb1').cpuMs = 900
  const second = make()
  assert.deepEqual(totals(second), { cpu_ms: 700, memory_mib_s: 1000 })
  await second.sample('sb1')
  await second.sample('sb1')
  assert.deepEqual(totals(second), { cpu_ms: 900, memory_mib_s: 4000 })

  // A new run begins at zero and adds to what was.
  await map.driver.stop('sb1')
  await map.driver.start('sb1')
  map.get('sb1').cpuMs = 50
  clock.now += 5_000
  await second.sample('sb1')
  assert.deepEqual(totals(second), { cpu_ms: 950, memory_mib_s: 4000 })
  assert.equal(new Set([...first.readings(), ...second.readings()].map((one) => one.epoch)).size, 1)
})

test("a stopped sandbox is not sampled and a build is nobody's usage", async () => {
  using directory = temporary()
  const { map, make } = await world(directory.path)
  for (const id of ['sbstopped', 'bdbuild']) await map.driver.create(id, spec)
  await map.driver.start('bdbuild')
  const usage = make()
  await usage.sampleAll()
  assert.deepEqual(usage.readings(), [])
})

test('readings of a destroyed sandbox are kept until control has them', async () => {
  using directory = temporary()
  const { map, make } = await world(directory.path)
  await map.driver.create('sb1', spec)
  await map.driver.start('sb1')
  map.get('sb1').cpuMs = 5
  const usage = make()
  await usage.sample('sb1')
  usage.accepted(() => true)
  assert.equal(usage.readings().length, 2, 'it still lives')
  usage.forget('sb1')
  usage.accepted((reading) => reading.meter === 'cpu_ms')
  assert.equal(usage.readings().length, 2, 'one of the two is still to be told')
  usage.accepted(() => true)
  assert.deepEqual(usage.readings(), [])
  assert.deepEqual(readdirSync(directory.path), [])
})

test('an unreadable file begins a new epoch', async () => {
  using directory = temporary()
  const { map, make } = await world(directory.path)
  await map.driver.create('sb1', spec)
  await map.driver.start('sb1')
  const before = make()
  await before.sample('sb1')
  writeFileSync(join(directory.path, 'sb1.json'), '{"half')
  const after = make()
  await after.sample('sb1')
  assert.notEqual(after.readings()[0]?.epoch, before.readings()[0]?.epoch)
})

test('a sandbox that cannot be read does not keep the others from being counted', async () => {
  using directory = temporary()
  const { map, make } = await world(directory.path)
  for (const id of ['sb1', 'sb2']) {
    await map.driver.create(id, spec)
    await map.driver.start(id)
  }
  const usage = map.driver.usage.bind(map.driver)
  map.driver.usage = (id) => (id === 'sb1' ? Promise.reject(new Error('gone')) : usage(id))
  const counted = make()
  await counted.sampleAll()
  assert.deepEqual([...new Set(counted.readings().map((one) => one.sandboxId))], ['sb2'])
})

test('a clock that jumps adds no more than an hour, one set back adds nothing', () => {
  const start = advance(fresh(0), { epoch: 'a', cpuMs: 0, memoryBytes: 1 * MiB }, 0)
  const jumped = advance(start, { epoch: 'a', cpuMs: 1, memoryBytes: 1 * MiB }, 365 * 24 * 3_600_000)
  assert.equal(jumped.memoryMiBs, 3600)
  const back = advance(jumped, { epoch: 'a', cpuMs: 1, memoryBytes: 1 * MiB }, 0)
  assert.equal(back.memoryMiBs, 3600)
})

function totals(usage: ReturnType<typeof createUsage>): Record<string, number> {
  return Object.fromEntries(usage.readings().map(({ meter, total }) => [meter, total]))
}
