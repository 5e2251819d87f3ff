/**
 * Counts CPU time and memory of sandboxes from the driver's counters. Readings only grow and are on the disk before they
 * are reported, so that neither the death of this process nor a restarted sandbox loses or repeats anything.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { Reading } from '../contract/sync.ts'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { withDeadline } from '../lib/deadline.ts'
import { KeyedQueue } from '../lib/keyed-queue.ts'
import type { Log } from '../lib/log.ts'
import type { Driver } from './driver.ts'
import type { UsageSampler } from './verbs.ts'

const Counter = z.object({
  /** Of our readings: a lost file begins a new one instead of counting backwards. */
  epoch: z.string(),
  /** Of the driver's counters that `lastCpuMs` belongs to; null before the first sample. */
  driverEpoch: z.string().nullable(),
  /** CPU of all earlier driver epochs. */
  baseCpuMs: z.number(),
  lastCpuMs: z.number(),
  memoryMiBs: z.number(),
  lastMemoryMiB: z.number(),
  sampledAt: z.number(),
})
type Counter = z.infer<typeof Counter>

export interface UsageDeps {
  driver: Driver
  directory: string
  now: () => number
  log: Log
  onChange: () => void
}

export interface Usage extends UsageSampler {
  /** Samples all the sandboxes the driver runs. */
  sampleAll(): Promise<void>
  readings(): z.infer<typeof Reading>[]
  /** Drops forgotten sandboxes whose last readings control has, as `told` says. */
  accepted(told: (reading: z.infer<typeof Reading>) => boolean): void
}

const sampleDeadlineMs = 10_000
/** A longer pause between two samples of one run means that the clock was set; the rest of it is not counted. */
const maxGapMs = 3_600_000
const bytesPerMiB = 1024 * 1024

export function createUsage(deps: UsageDeps): Usage {
  mkdirSync(deps.directory, { recursive: true, mode: 0o700 })
  const counters = load(deps)
  const queue = new KeyedQueue()
  const gone = new Set<string>()
  const file = (id: string): string => join(deps.directory, `${id}.json`)

  const sample = async (id: string): Promise<void> => {
    const seen = await withDeadline(`usage of ${id}`, sampleDeadlineMs, deps.driver.usage(id))
    const before = counters.get(id) ?? fresh(deps.now())
    const after = advance(before, seen, deps.now())
    writeFileAtomic(file(id), JSON.stringify(after))
    counters.set(id, after)
    if (reading(after) !== reading(before)) deps.onChange()
  }
  const quietly = (id: string): Promise<void> =>
    queue
      .run(id, () => sample(id))
      .catch((error: unknown) => deps.log.debug({ sandboxId: id, err: error }, 'usage could not be read'))

  return {
    sample: quietly,
    async sampleAll() {
      const have = await deps.driver.list()
      const running = [...have].filter(([id, { state }]) => state !== 'stopped' && id.startsWith('sb'))
      await Promise.all(running.map(([id]) => quietly(id)))
    },
    forget: (id) => void (counters.has(id) && gone.add(id)),
    ids: () => counters.keys(),
    readings: () => [...counters].flatMap(([id, counter]) => readingsOf(id, counter)),
    accepted(told) {
      for (const id of gone) {
        const counter = counters.get(id)
        if (counter !== undefined && !readingsOf(id, counter).every(told)) continue
        rmSync(file(id), { force: true })
        counters.delete(id)
        gone.delete(id)
      }
    },
  }
}

/** The counters after one more look at the driver's. */
export function advance(
  before: Counter,
  seen: { epoch: string; cpuMs: number; memoryBytes: number },
  now: number,
): Counter {
  const memoryMiB = seen.memoryBytes / bytesPerMiB
  const sameRun = before.driverEpoch === seen.epoch
  // A run's first sample has no interval behind it; later ones hold the mean of both ends over the time between.
  const gapMs = sameRun ? Math.min(maxGapMs, Math.max(0, now - before.sampledAt)) : 0
  return {
    epoch: before.epoch,
    driverEpoch: seen.epoch,
    baseCpuMs: sameRun ? before.baseCpuMs : before.baseCpuMs + before.lastCpuMs,
    lastCpuMs: sameRun ? Math.max(before.lastCpuMs, seen.cpuMs) : seen.cpuMs,
    memoryMiBs: before.memoryMiBs + (((memoryMiB + before.lastMemoryMiB) / 2) * gapMs) / 1000,
    lastMemoryMiB: memoryMiB,
    sampledAt: now,
  }
}

export const fresh = (now: number): Counter => ({
  epoch: randomBytes(8).toString('hex'),
  driverEpoch: null,
  baseCpuMs: 0,
  lastCpuMs: 0,
  memoryMiBs: 0,
  lastMemoryMiB: 0,
  sampledAt: now,
})

const reading = (counter: Counter): string =>
  `${Math.floor(counter.baseCpuMs + counter.lastCpuMs)} ${Math.floor(counter.memoryMiBs)}`

function readingsOf(sandboxId: string, counter: Counter): z.infer<typeof Reading>[] {
  const { epoch } = counter
  return [
    { sandboxId, meter: 'cpu_ms', epoch, total: Math.floor(counter.baseCpuMs + counter.lastCpuMs) },
    { sandboxId, meter: 'memory_mib_s', epoch, total: Math.floor(counter.memoryMiBs) },
  ]
}

function load(deps: UsageDeps): Map<string, Counter> {
  const counters = new Map<string, Counter>()
  for (const name of readdirSync(deps.directory)) {
    const path = join(deps.directory, name)
    if (name.endsWith('.tmp')) rmSync(path)
    if (!name.endsWith('.json')) continue
    const id = name.slice(0, -'.json'.length)
    try {
      counters.set(id, Counter.parse(JSON.parse(readFileSync(path, 'utf8'))))
    } catch (error) {
      // Its readings so far are with control; a new epoch goes on from there.
      deps.log.warn({ sandboxId: id, err: error }, 'counters are unreadable and begin anew')
    }
  }
  return counters
}
