import assert from 'node:assert/strict'
import { cli, eventually, type World } from './world.ts'

/** What `slopbox up` supervises. */
export const supervised = ['gateway', 'control', 'egress', 'host', 'database'] as const

interface Running {
  name: string
  pid: number
}

/** Kills one of the supervised processes as a machine out of memory would, and waits until the supervisor has a new one. */
export async function killAndAwait(world: World, name: (typeof supervised)[number]): Promise<void> {
  const before = await pidOf(world, name)
  assert.ok(before !== undefined, `${name} runs`)
  process.kill(before, 'SIGKILL')
  await eventually(
    `${name} after it was killed`,
    60,
    () => pidOf(world, name),
    (pid) => pid !== undefined && pid !== before,
  )
}

async function pidOf(world: World, name: string): Promise<number | undefined> {
  const { stdout, stderr } = await cli(world, ['status', '--json', '--data', world.up.dataDir])
  assert.ok(stdout.startsWith('{'), stderr)
  const { processes } = JSON.parse(stdout) as { processes: Running[] }
  return processes.find((running) => running.name === name)?.pid
}
