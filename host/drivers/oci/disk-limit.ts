import { rename, rm } from 'node:fs/promises'
import { z } from 'zod'
import type { Size } from '../../../contract/sandboxes.ts'
import { diskLimit, isBeyond, type Occupied } from './disk-watch.ts'
import { isMissing, readIfThere, writeAtomic } from './layout.ts'
import type { SandboxPaths } from './layout.ts'

const Stored = z.object({ bytes: z.number(), files: z.number() })
/** What somebody may write who came back to a full disk to make room. */
const room: Occupied = { bytes: 64 * 1024 ** 2, files: 4_096 }

/** Whether the run is over its disk and is to be stopped; written down before that, so that its end can be explained. */
export async function isDiskOver(paths: SandboxPaths, size: Size, occupied: Occupied): Promise<boolean> {
  const limit = diskLimit(size)
  if (!isBeyond(occupied, limit)) {
    await rm(paths.diskAllowed, { force: true })
    return false
  }
  const text = await readIfThere(paths.diskAllowed)
  const before = text === undefined ? null : Stored.parse(JSON.parse(text))
  const allowed =
    before === null
      ? limit
      : {
          bytes: Math.max(limit.bytes, before.bytes + room.bytes),
          files: Math.max(limit.files, before.files + room.files),
        }
  if (!isBeyond(occupied, allowed)) return false
  await writeAtomic(paths.diskFull, JSON.stringify(occupied))
  return true
}

/** A run that follows one that was stopped for its disk may keep what is there, so that its owner can delete some. */
export async function allowFullDisk(paths: SandboxPaths): Promise<void> {
  await rename(paths.diskFull, paths.diskAllowed).catch((error: unknown) => {
    if (!isMissing(error)) throw error
  })
}

export const endedForDisk = async (paths: SandboxPaths): Promise<boolean> =>
  (await readIfThere(paths.diskFull)) !== undefined
