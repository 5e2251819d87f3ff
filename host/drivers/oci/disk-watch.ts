/**
 * Holds sandboxes to the size of their disks where the file system cannot: it is looked at every second whether it filled
 * up, and when it did, what each running sandbox occupies is added up and those beyond their limit are stopped. What is
 * written within that second is beyond the limit; preallocation, which would take any amount in it, is refused by the
 * system call filter.
 */
import { readdir, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Size } from '../../../contract/sandboxes.ts'
import { loop } from '../../../lib/loop.ts'
import type { Loop } from '../../../lib/loop.ts'
import { errorCode, isMissing } from './layout.ts'
import { command } from './process.ts'

export interface WatchedDisk {
  id: string
  /** The upper layer and the volumes. */
  directories: readonly string[]
  /** Its processes: a deleted file takes room as long as one of them has it open. */
  processes: readonly number[]
  size: Size
}

export interface Occupied {
  bytes: number
  files: number
}

export interface DiskWatchOptions {
  /** A directory on the file system of the disks. */
  root: string
  running: () => Promise<readonly WatchedDisk[]>
  /** Called for each disk at each measurement. */
  measured: (disk: WatchedDisk, occupied: Occupied) => Promise<void>
  onError: (error: unknown) => void
}

const everyMs = 1_000
/** Measured again when the file system grew by this much, or after a while anyway: others may have freed as much. */
const growth: Occupied = { bytes: 64 * 1024 ** 2, files: 4_096 }
const latestMs = 60_000
const tmpfs = 0x01021994

/** A disk has as many files as ext4 gives to one of its size: one for each 16 KiB. */
export const diskLimit = ({ diskGiB }: Size): Occupied => ({ bytes: diskGiB * 1024 ** 3, files: diskGiB * 65_536 })

export const isBeyond = (occupied: Occupied, limit: Occupied): boolean =>
  occupied.bytes > limit.bytes || occupied.files > limit.files

export class DiskWatch implements AsyncDisposable {
  readonly #options: DiskWatchOptions
  readonly #loop: Loop
  #last: (Occupied & { at: number }) | null = null

  constructor(options: DiskWatchOptions) {
    this.#options = options
    this.#loop = loop({ everyMs, tick: () => this.#look(), onError: options.onError })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#loop[Symbol.asyncDispose]()
  }

  async #look(): Promise<void> {
    const { bsize, blocks, bfree, files, ffree } = await statfs(this.#options.root)
    const now = { bytes: (blocks - bfree) * bsize, files: files - ffree, at: performance.now() }
    const last = this.#last
    const grew = last === null || now.bytes > last.bytes + growth.bytes || now.files > last.files + growth.files
    if (!grew && now.at < last.at + latestMs) return
    this.#last = now
    const disks = await this.#options.running()
    if (disks.length === 0) return
    const occupied = await measure(disks)
    for (const disk of disks) await this.#options.measured(disk, occupied.get(disk.id) ?? { bytes: 0, files: 0 })
  }
}

/** What each disk occupies, deleted files included that are still open. */
export async function measure(disks: readonly WatchedDisk[]): Promise<Map<string, Occupied>> {
  const all = disks.flatMap((disk) => disk.directories)
  const [bytes, files] = [await total(['--block-size=1'], all), await total(['--inodes'], all)]
  const sum = (of: Map<string, number>, disk: WatchedDisk): number =>
    disk.directories.reduce((before, directory) => before + (of.get(directory) ?? 0), 0)
  const rows = disks.map(async (disk): Promise<[string, Occupied]> => {
    const deleted = await openDeleted(disk.processes)
    return [disk.id, { bytes: sum(bytes, disk) + deleted.bytes, files: sum(files, disk) + deleted.files }]
  })
  return new Map(await Promise.all(rows))
}

/** du(1) complains about files that vanish meanwhile, and counts the rest. */
async function total(options: readonly string[], directories: readonly string[]): Promise<Map<string, number>> {
  const { stdout } = await command('du', ['-s', '-x', '-0', ...options, '--', ...directories])
  return new Map(
    stdout.split('\0').flatMap((row): [string, number][] => {
      const [amount, path] = row.split('\t')
      return path === undefined ? [] : [[path, Number(amount)]]
    }),
  )
}

async function openDeleted(processes: readonly number[]): Promise<Occupied> {
  const seen = new Map<string, number>()
  for (const pid of processes) {
    for (const path of await descriptors(pid)) {
      try {
        const { nlink, dev, ino, blocks, mode } = await stat(path)
        // S_IFREG; what lies in memory is counted there.
        if (nlink > 0 || (mode & 0o170000) !== 0o100000 || (await statfs(path)).type === tmpfs) continue
        seen.set(`${dev}:${ino}`, blocks * 512)
      } catch (error) {
        if (!isMissing(error)) throw error
      }
    }
  }
  return { bytes: [...seen.values()].reduce((sum, bytes) => sum + bytes, 0), files: seen.size }
}

async function descriptors(pid: number): Promise<string[]> {
  const directory = `/proc/${pid}/fd`
  try {
    return (await readdir(directory)).map((name) => join(directory, name))
  } catch (error) {
    if (isMissing(error) || errorCode(error) === 'EACCES') return []
    throw error
  }
}
