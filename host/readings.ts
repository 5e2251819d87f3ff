import type { z } from 'zod'
import type { Reading } from '../contract/sync.ts'

type ReadingRow = z.infer<typeof Reading>

/** Leaves out readings that control is known to have. Everything is told again after `forget`. */
export class UntoldReadings {
  readonly #told = new Map<string, number>()

  /** True when control has this very total. */
  has(reading: ReadingRow): boolean {
    return this.#told.get(keyOf(reading)) === reading.total
  }

  select(readings: readonly ReadingRow[]): ReadingRow[] {
    return readings.filter((reading) => !this.has(reading))
  }

  accepted(readings: readonly ReadingRow[]): void {
    for (const reading of readings) this.#told.set(keyOf(reading), reading.total)
  }

  /** Control may be another one, or an older state of it: it gets all of them again. */
  forget(): void {
    this.#told.clear()
  }
}

const keyOf = ({ sandboxId, meter, epoch }: ReadingRow): string => `${sandboxId} ${meter} ${epoch}`
