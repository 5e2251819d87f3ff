/** The probes of `slopbox selftest isolation`, on the driver alone: they hold inside, and notice where nothing does. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { whyNoOci } from '../host/drivers/oci/probe.ts'
import { ociWorld, type OciWorld } from '../host/drivers/oci/testing.ts'
import { layOut } from '../ops/selftest/outside.ts'
import type { Cell } from '../ops/selftest/probe.ts'
import { quietProbes, runProbe, runProbes } from '../ops/selftest/run.ts'

const reason = whyNoOci('crun')
const skip = reason === undefined ? {} : { skip: reason }

function cellOf({ driver }: OciWorld, id: string): Cell {
  return {
    name: 'container',
    async run(command, { user, timeoutMs, signal }) {
      const execution = await driver.exec(id, { command, env: {}, cwd: '/', user })
      const kill = (): void => execution.kill('SIGKILL')
      const timer = setTimeout(kill, timeoutMs)
      signal?.addEventListener('abort', kill)
      execution.stdin.end()
      const [stdout, stderr, end] = await Promise.all([
        text(execution.stdout),
        text(execution.stderr),
        execution.exited,
      ])
      clearTimeout(timer)
      return { stdout, stderr, ...end }
    },
    async look() {
      const seen = (await driver.list()).get(id)
      return { running: seen?.state === 'running', reason: seen?.exit?.outOfDisk === true ? 'the disk is full' : null }
    },
    restart: () => driver.start(id),
  }
}

/** No sandbox at all: this machine as root, only away from its network and mounts so that nothing lasts. */
const bareMachine: Cell = {
  name: 'none',
  async run(command) {
    const child = spawn('unshare', ['--net', '--mount', '--', ...command], { stdio: ['ignore', 'pipe', 'pipe'] })
    const [stdout, stderr, [code, signal]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close') as Promise<[number | null, string | null]>,
    ])
    return { stdout, stderr, code, signal }
  },
  look: async () => ({ running: true, reason: null }),
  restart: async () => {},
}

test('every probe is held in a sandbox, and its neighbour goes on', skip, async () => {
  await using world = await ociWorld('crun')
  for (const id of ['sb1', 'sb2']) {
    await world.driver.create(id, world.spec({}))
    await world.driver.start(id)
  }
  const [prober, neighbour] = [cellOf(world, 'sb1'), cellOf(world, 'sb2')]
  const internals = { paths: [`/run/slopbox-${world.options.instance}`, world.options.dataDir], ports: [1, 2, 3, 4] }
  await using outside = await layOut(prober, neighbour, internals)
  const cases = await runProbes(prober, neighbour, outside, (found) => {
    process.stderr.write(`# ${found.held ? 'held' : 'NOT HELD'} ${found.probe}: ${found.happened}\n`)
  })
  assert.ok(cases.length > 35)
  assert.deepEqual(
    cases.filter((found) => !found.held),
    [],
  )
  assert.deepEqual(await neighbour.look(), { running: true, reason: null })
})

/**
 * On a bare machine these must notice that they get through. The rest cannot: it is a network of its own even there, or
 * this kernel does not have what they ask for.
 */
const mustNotice = [
  'machine-files',
  'machine-sockets',
  'machine-processes',
  'machine-signals',
  'control-and-gateway',
  'capabilities',
  'setuid',
  'device-nodes',
  'core-pattern',
  'mount',
  'new-namespaces',
  'tracing',
  'keyrings',
  'clock-and-power',
  'file-handles',
  'raw-sockets',
]

test('the probes notice where nothing is isolated', skip, async () => {
  await using world = await ociWorld('crun')
  await world.driver.create('sb1', world.spec({}))
  await world.driver.start('sb1')
  const cell = cellOf(world, 'sb1')
  await using outside = await layOut(cell, cell, { paths: [world.options.dataDir], ports: [1] })
  const silent: string[] = []
  for (const probe of quietProbes) {
    const found = await runProbe(probe, bareMachine, outside, null)
    if (found.held) silent.push(probe.name)
    process.stderr.write(`# bare: ${found.held ? 'held' : 'noticed'} ${found.probe}: ${found.happened}\n`)
  }
  assert.deepEqual(
    mustNotice.filter((name) => silent.includes(name)),
    [],
  )
})
