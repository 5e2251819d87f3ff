import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { killProcess } from './cgroups.ts'
import { errorCode, isMissing, pathsOf } from './layout.ts'
import type { Link } from './network.ts'
import { Sandbox } from './sandbox.ts'
import type { Machine } from './sandbox.ts'
import { readState } from './state.ts'

/**
 * Takes over what an earlier host process left, wherever it was killed: loads the rules, ends launches nobody waits for,
 * removes half-made and half-removed sandboxes, and keeps everything that runs. Returns the sandboxes that exist.
 */
export async function sweepMachine(machine: Machine): Promise<Map<string, Sandbox>> {
  const root = join(machine.layout.dataDir, 'sandboxes')
  const sandboxes = new Map<string, Sandbox>()
  for (const id of await readdir(root)) {
    const state = id.startsWith('.') ? undefined : await readState(pathsOf(machine.layout, id))
    if (state === undefined) await rm(join(root, id), { recursive: true, force: true })
    else sandboxes.set(id, new Sandbox(machine, id, state))
  }
  await machine.network.load([...sandboxes.values()].map((sandbox) => sandbox.state.slot))
  await sweepFiles(machine)
  const running = new Map<string, Link>()
  const launching: Sandbox[] = []
  for (const sandbox of sandboxes.values()) {
    const { run, init } = await sandbox.look()
    if (init !== undefined) running.set(sandbox.id, sandbox.link)
    if (run.phase === 'launching') launching.push(sandbox)
  }
  await machine.network.announceAll(running)
  await endHelpers(launching)
  for (const sandbox of launching) await sandbox.settle('stop')
  return sandboxes
}

/** Request files of execs whose host process is gone, and volumes that never got their name. */
async function sweepFiles({ layout }: Machine): Promise<void> {
  const pids = join(layout.runDir, 'pids')
  for (const name of await readdir(pids)) if (name.startsWith('exec-')) await rm(join(pids, name), { force: true })
  const volumes = join(layout.dataDir, 'volumes')
  for (const name of await readdir(volumes)) {
    if (name.endsWith('.new')) await rm(join(volumes, name), { recursive: true, force: true })
  }
}

/** Ends the launch helpers of these sandboxes: each leads a process group, with the runtime it called in it. */
async function endHelpers(sandboxes: readonly Sandbox[]): Promise<void> {
  if (sandboxes.length === 0) return
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const line = await commandLine(name)
    if (line.includes('/launch.pl\0') && sandboxes.some((sandbox) => line.includes(sandbox.paths.bundle)))
      killProcess(-Number(name), 'SIGKILL')
  }
}

async function commandLine(pid: string): Promise<string> {
  try {
    return await readFile(`/proc/${pid}/cmdline`, 'utf8')
  } catch (error) {
    if (isMissing(error) || errorCode(error) === 'EACCES') return ''
    throw error
  }
}
