import { spawnSync } from 'node:child_process'
import { globSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pause } from '../lib/loop.ts'
import type { Places } from './paths.ts'
import { OpsError } from './say.ts'

/** Takes away everything an installation made on this machine, its sandboxes and its data included. Nothing of it may run. */
export async function wipe(places: Places, instance: string): Promise<void> {
  await endSandboxes(instance)
  for (const link of linksOf(instance)) quietly('ip', ['link', 'delete', link])
  quietly('nft', ['delete', 'table', 'inet', `slopbox_${instance}`])
  for (const directory of [places.run, `/run/slopbox-${instance}`, places.data]) {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Sandboxes are found by their cgroups, which no process in one can leave. */
async function endSandboxes(instance: string): Promise<void> {
  const limit = AbortSignal.timeout(20_000)
  for (;;) {
    const pids = pidsOf(instance)
    if (pids.length === 0) break
    if (limit.aborted)
      throw new OpsError(`processes ${pids.join(', ')} of sandboxes do not end`, 'Look at `dmesg`, then try again.')
    for (const pid of pids) kill(pid)
    await pause(50, limit)
  }
  // Children before parents.
  for (const directory of cgroupsOf(instance).toSorted((a, b) => b.length - a.length)) rmdirSync(directory)
}

/** Version 1 has a tree for each controller, version 2 one for all. Parents come before their children. */
function cgroupsOf(instance: string): string[] {
  const roots = globSync([`/sys/fs/cgroup/slopbox-${instance}`, `/sys/fs/cgroup/*/slopbox-${instance}`])
  return roots.flatMap((root) => [
    root,
    ...readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name)),
  ])
}

function pidsOf(instance: string): number[] {
  const listed = cgroupsOf(instance).flatMap((directory) =>
    readFileSync(`${directory}/cgroup.procs`, 'utf8').split('\n').filter(Boolean).map(Number),
  )
  return [...new Set(listed)]
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function linksOf(instance: string): string[] {
  const run = spawnSync('ip', ['-o', 'link', 'show'], { encoding: 'utf8' })
  const names = [...(run.stdout ?? '').matchAll(/^\d+: ([^@:]+)/gm)].map((match) => match[1] ?? '')
  return names.filter((name) => name.startsWith(`s${instance}`))
}

/** What is already gone need not be removed; what cannot be is reported by the look afterwards. */
function quietly(program: string, args: string[]): void {
  spawnSync(program, args, { stdio: 'ignore' })
}
