import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'
import { z } from 'zod'
import { diskError } from './files.ts'
import { OpsError } from './say.ts'

/** Who holds a data directory. `url` is known once it serves. */
const Holder = z.object({ pid: z.int(), url: z.string().nullable() })
export type Holder = z.infer<typeof Holder>

export interface DataLock extends Disposable {
  /** Tells others who holds the lock and where it serves. */
  announce(url: string | null): void
}

/**
 * Takes a data directory for this process, or returns who has it. The lock is the kernel's (flock(2)) on a description
 * that only this process holds, so it ends with the process however that dies, and two starts cannot both win.
 */
export function takeLock(file: string): DataLock | Holder {
  const fd = openLock(file)
  if (!flock(fd, ['-n'])) {
    closeSync(fd)
    return readHolder(file) ?? { pid: 0, url: null }
  }
  const announce = (url: string | null): void => {
    ftruncateSync(fd, 0)
    writeSync(fd, `${JSON.stringify({ pid: process.pid, url })}\n`)
  }
  try {
    announce(null)
  } catch (cause) {
    closeSync(fd)
    throw diskError(file, cause)
  }
  return {
    announce,
    [Symbol.dispose]() {
      ftruncateSync(fd, 0)
      closeSync(fd)
    },
  }
}

function openLock(file: string): number {
  try {
    return openSync(file, 'a+', 0o644)
  } catch (cause) {
    throw diskError(file, cause)
  }
}

export function isHolder(lock: DataLock | Holder): lock is Holder {
  return 'pid' in lock
}

/** Who holds the directory right now; null when nobody does. */
export function currentHolder(file: string): Holder | null {
  if (!existsSync(file)) return null
  const fd = openSync(file, 'r')
  try {
    return flock(fd, ['-n']) ? null : readHolder(file)
  } finally {
    closeSync(fd)
  }
}

/** Waits until nobody holds the directory; false when that takes longer than `seconds`. */
export function waitForRelease(file: string, seconds: number): boolean {
  const fd = openSync(file, 'r')
  try {
    return flock(fd, ['-w', String(seconds)])
  } finally {
    closeSync(fd)
  }
}

function readHolder(file: string): Holder | null {
  const text = readFileSync(file, 'utf8').trim()
  if (text === '') return null
  return Holder.parse(JSON.parse(text))
}

/** Node has no flock(2); a helper takes it on our open file description, where it stays when the helper is gone. */
function flock(fd: number, options: string[]): boolean {
  const run = spawnSync('flock', [...options, '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] })
  if (run.error) throw new OpsError('the program `flock` is missing', 'Install the package util-linux.')
  return run.status === 0
}
