import { readdirSync, readFileSync } from 'node:fs'
import { readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { errorCode, isMissing, readIfThere } from './layout.ts'

/** How this machine mounts control groups. */
export interface Cgroups {
  version: 1 | 2
  /** Version 1: mount point by controller; version 2: one entry, `''`. */
  roots: ReadonlyMap<string, string>
  /** A version 2 tree beside version 1, without controllers; crun refuses to work while it is mounted. */
  hybrid: string | null
}

/** Reads the mount table of this process (proc_pid_mountinfo(5)). Throws when no control groups are mounted. */
export function detectCgroups(mountinfo = readFileSync('/proc/self/mountinfo', 'utf8')): Cgroups {
  const v1 = new Map<string, string>()
  let v2: string | null = null
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ')
    const at = before.split(' ')[4]
    const [kind, , options = ''] = after.split(' ')
    if (at === undefined || !at.startsWith('/sys/fs/cgroup')) continue
    if (kind === 'cgroup2') v2 = at
    if (kind !== 'cgroup') continue
    for (const option of options.split(',')) {
      if (option !== 'rw' && option !== 'ro' && option !== 'xattr') v1.set(option, at)
    }
  }
  if (v1.has('memory')) return { version: 1, roots: v1, hybrid: v2 }
  if (v2 !== null) return { version: 2, roots: new Map([['', v2]]), hybrid: null }
  throw new Error('no control groups are mounted at /sys/fs/cgroup')
}

/** The control groups of one sandbox: one directory in each tree. */
export class SandboxCgroup {
  readonly #cgroups: Cgroups
  readonly #path: string
  constructor(cgroups: Cgroups, path: string) {
    this.#cgroups = cgroups
    this.#path = path
  }

  #file(controller: string, name: string): string {
    const root = this.#cgroups.roots.get(this.#cgroups.version === 1 ? controller : '')
    if (root === undefined) throw new Error(`no ${controller} control group on this machine`)
    return join(root, this.#path, name)
  }

  /** Processes in the sandbox, as this machine numbers them; empty when the group is gone. */
  async processes(): Promise<number[]> {
    const text = await readIfThere(this.#file('pids', 'cgroup.procs'))
    return (text ?? '').split('\n').filter(Boolean).map(Number)
  }

  async exists(): Promise<boolean> {
    return (await readIfThere(this.#file('pids', 'cgroup.procs'))) !== undefined
  }

  /** True while the process belongs to this sandbox, so that a number given to another one meanwhile is not taken for it. */
  async holds(pid: number): Promise<boolean> {
    const [own, stat] = await Promise.all([readIfThere(`/proc/${pid}/cgroup`), readIfThere(`/proc/${pid}/stat`)])
    if (own === undefined || stat === undefined) return false
    const dead = / [ZX] /.test(stat.slice(stat.lastIndexOf(')')).slice(0, 4))
    return !dead && own.split('\n').some((line) => line.endsWith(`:${this.#path}`))
  }

  /** CPU time in milliseconds since the group was made; undefined when there is none. */
  async cpuMs(): Promise<number | undefined> {
    if (this.#cgroups.version === 1) {
      const text = await readIfThere(this.#file('cpuacct', 'cpuacct.usage'))
      return text === undefined ? undefined : Number(text) / 1e6
    }
    const text = await readIfThere(this.#file('cpu', 'cpu.stat'))
    return text === undefined ? undefined : field(text, 'usage_usec') / 1e3
  }

  /** Working set: what is used without the page cache the kernel can drop at once. */
  async memoryBytes(): Promise<number> {
    const one = this.#cgroups.version === 1
    const [used, stat] = await Promise.all([
      readIfThere(this.#file('memory', one ? 'memory.usage_in_bytes' : 'memory.current')),
      readIfThere(this.#file('memory', 'memory.stat')),
    ])
    if (used === undefined || stat === undefined) return 0
    return Math.max(0, Number(used) - field(stat, one ? 'total_inactive_file' : 'inactive_file'))
  }

  /** How often the kernel killed a process here because the limit was reached. */
  async outOfMemoryKills(): Promise<number> {
    const name = this.#cgroups.version === 1 ? 'memory.oom_control' : 'memory.events'
    return field((await readIfThere(this.#file('memory', name))) ?? '', 'oom_kill')
  }

  async frozen(): Promise<boolean> {
    if (this.#cgroups.version === 1)
      return (await readIfThere(this.#file('freezer', 'freezer.state')))?.trim() === 'FROZEN'
    return field((await readIfThere(this.#file('freezer', 'cgroup.events'))) ?? '', 'frozen') === 1
  }

  /** Stops or continues every process; resolves once the kernel says it is so. */
  async freeze(frozen: boolean, signal: AbortSignal): Promise<void> {
    const one = this.#cgroups.version === 1
    const file = this.#file('freezer', one ? 'freezer.state' : 'cgroup.freeze')
    const word = one ? (frozen ? 'FROZEN' : 'THAWED') : frozen ? '1' : '0'
    while ((await this.frozen()) !== frozen) {
      // Version 1 wants to be asked again when a process forked meanwhile.
      await writeFile(file, word)
      if ((await this.frozen()) !== frozen) await sleep(1, undefined, { signal })
    }
  }

  /** Kills everything in it and waits until it is empty. Thaws first: a frozen process does not die in version 1. */
  async kill(signal: AbortSignal): Promise<void> {
    if (!(await this.exists())) return
    for (let waitMs = 1; ; waitMs = Math.min(waitMs * 2, 20)) {
      const pids = await this.processes()
      if (pids.length === 0) return
      for (const pid of pids) killProcess(pid, 'SIGKILL')
      await this.freeze(false, signal).catch((error: unknown) => {
        if (!isMissing(error)) throw error
      })
      if ((await this.processes()).length > 0) await sleep(waitMs, undefined, { signal })
    }
  }

  /** Removes the groups; they must be empty. */
  async remove(signal: AbortSignal): Promise<void> {
    for (const root of new Set(this.#cgroups.roots.values())) await removeTree(join(root, this.#path), signal)
  }
}

/** The parent of all groups of an installation: removed when the last sandbox is gone. */
export async function removeParent(cgroups: Cgroups, path: string): Promise<void> {
  for (const root of new Set(cgroups.roots.values())) {
    try {
      await rmdir(join(root, path))
    } catch (error) {
      if (!isMissing(error) && errorCode(error) !== 'EBUSY' && errorCode(error) !== 'ENOTEMPTY') throw error
    }
  }
}

/** A group cannot be removed for a moment after its last process ended: EBUSY until the kernel has finished with it. */
async function removeTree(dir: string, signal: AbortSignal): Promise<void> {
  let below: string[]
  try {
    below = readdirSync(dir, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
  } catch (error) {
    if (isMissing(error)) return
    throw error
  }
  for (const name of below) await removeTree(join(dir, name), signal)
  for (;;) {
    try {
      await rmdir(dir)
      return
    } catch (error) {
      if (isMissing(error)) return
      if (errorCode(error) !== 'EBUSY') throw error
      await sleep(1, undefined, { signal })
    }
  }
}

/** Sends a signal; a process that is gone already is fine. */
export function killProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (errorCode(error) !== 'ESRCH') throw error
  }
}

function field(text: string, name: string): number {
  for (const line of text.split('\n')) {
    if (line.startsWith(`${name} `)) return Number(line.slice(name.length + 1))
  }
  return 0
}

/** Whether the machine limits swap at all; without a swap device there is nothing to limit. */
export async function hasSwap(): Promise<boolean> {
  return (await readFile('/proc/swaps', 'utf8')).trim().split('\n').length > 1
}
