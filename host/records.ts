import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomic } from '../lib/atomic-file.ts'

const Instant = z.iso.datetime()

/**
 * What the host must remember of a sandbox across its own death and cannot read from the driver. Losing one costs a
 * repeated file write or a restart, never a disk.
 */
export const SandboxRecord = z.object({
  /** Of the last start; null when it is at rest, so that the next start needs no back-off. */
  generation: z.int().nullable(),
  /** Hash of the files that are inside and were applied. */
  filesHash: z.string().nullable(),
  /** Hash of the spec, files and template left out, that the driver has. */
  specHash: z.string().nullable(),
  /** `startedAt` of the run that answered its ready check. */
  readyRun: z.string().nullable(),
  marks: z.partialRecord(z.enum(['templateAt', 'createdAt', 'bootedAt', 'readyAt']), Instant),
  restarts: z.int(),
  /** Automatic restarts since it last ran for long. */
  crashes: z.int(),
})
export type SandboxRecord = z.infer<typeof SandboxRecord>
export type Mark = keyof SandboxRecord['marks']

export interface Records {
  get(id: string): SandboxRecord
  /** On return it survives the death of this process. A power cut may take it, but that ends every run as well. */
  change(id: string, change: Partial<SandboxRecord>): void
  remove(id: string): void
  ids(): Iterable<string>
}

const fresh: SandboxRecord = {
  generation: null,
  filesHash: null,
  specHash: null,
  readyRun: null,
  marks: {},
  restarts: 0,
  crashes: 0,
}

/** One file per sandbox. An unreadable one counts as absent. */
export function openRecords(directory: string, onUnreadable: (id: string, error: unknown) => void): Records {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const records = new Map<string, SandboxRecord>()
  for (const name of readdirSync(directory)) {
    const path = join(directory, name)
    if (name.endsWith('.tmp')) rmSync(path)
    if (!name.endsWith('.json')) continue
    const id = name.slice(0, -'.json'.length)
    try {
      records.set(id, SandboxRecord.parse(JSON.parse(readFileSync(path, 'utf8'))))
    } catch (error) {
      onUnreadable(id, error)
    }
  }
  const file = (id: string): string => join(directory, `${id}.json`)
  return {
    get: (id) => records.get(id) ?? fresh,
    change(id, change) {
      const record = { ...(records.get(id) ?? fresh), ...change }
      writeFileAtomic(file(id), JSON.stringify(record), { durable: false })
      records.set(id, record)
    },
    remove(id) {
      rmSync(file(id), { force: true })
      records.delete(id)
    },
    ids: () => records.keys(),
  }
}
