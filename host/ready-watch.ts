import { pause } from '../lib/loop.ts'
import type { DesiredSandbox } from '../contract/sync.ts'
import type { Driver } from './driver.ts'
import { askReady } from './ready.ts'

interface Watch {
  run: string | null
  stop: AbortController
  /** What the last attempt said, once the check's time is over. */
  late: string | null
}

const firstGapMs = 50
const maxGapMs = 1_000

/** Asks ready checks in the background, one per sandbox, until they are answered or the run they belong to is over. */
export class ReadyWatches {
  readonly #watches = new Map<string, Watch>()
  readonly #driver: Driver
  readonly #onChange: () => void
  constructor(driver: Driver, onChange: () => void) {
    this.#driver = driver
    this.#onChange = onChange
  }

  /** True while this very run of the sandbox is being watched. */
  watching(id: string, run: string | null): boolean {
    return this.#watches.get(id)?.run === run
  }

  /** Why this run is not ready although its time is over; null before that. */
  lateReason(id: string, run: string | null): string | null {
    return this.watching(id, run) ? (this.#watches.get(id)?.late ?? null) : null
  }

  /** Begins to ask; `onReady` is called once. A watch of an earlier run ends. */
  start(want: DesiredSandbox, run: string | null, onReady: () => void): void {
    if (want.spec.ready === null || this.watching(want.id, run)) return
    this.stop(want.id)
    const watch: Watch = { run, stop: new AbortController(), late: null }
    this.#watches.set(want.id, watch)
    void this.#ask(want, watch).then((ready) => {
      if (this.#watches.get(want.id) === watch) this.#watches.delete(want.id)
      if (ready) onReady()
      this.#onChange()
    })
  }

  stop(id: string): void {
    this.#watches.get(id)?.stop.abort()
    this.#watches.delete(id)
  }

  stopAll(): void {
    for (const { stop } of this.#watches.values()) stop.abort()
    this.#watches.clear()
  }

  async #ask(want: DesiredSandbox, watch: Watch): Promise<boolean> {
    const check = want.spec.ready
    if (check === null) return false
    const { signal } = watch.stop
    const timeUp = AbortSignal.timeout(check.timeoutMs)
    for (let gap = firstGapMs; !signal.aborted; gap = Math.min(maxGapMs, gap * 1.5)) {
      const trouble = await askReady(this.#driver, want.id, check, signal)
      if (signal.aborted) return false
      if (trouble === undefined) return true
      if (timeUp.aborted) {
        const late = `not ready after ${Math.round(check.timeoutMs / 1000)} s: ${trouble}`
        if (watch.late !== late) {
          watch.late = late
          this.#onChange()
        }
      }
      await pause(gap, signal)
    }
    return false
  }
}
