import { setTimeout as sleep } from 'node:timers/promises'

export interface Loop extends AsyncDisposable {
  /** Run a tick soon. Wakes that arrive during a tick collapse into one more. */
  wake(): void
}

export interface LoopOptions {
  everyMs: number
  /** May resolve with milliseconds, not more than `everyMs`, after which it wants to run again. */
  tick: (signal: AbortSignal) => Promise<number | void>
  onError: (error: unknown) => void
}

/** Runs `tick` now, then after every `wake()` or `everyMs` or sooner, never twice at once. Disposing waits for the tick under way. */
export function loop(options: LoopOptions): Loop {
  const stop = new AbortController()
  let nap = new AbortController()
  let woken = false
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      woken = false
      let napMs = options.everyMs
      try {
        napMs = Math.min(napMs, (await options.tick(stop.signal)) ?? napMs)
      } catch (error) {
        if (!stop.signal.aborted) options.onError(error)
      }
      if (woken) continue
      nap = new AbortController()
      await pause(napMs, AbortSignal.any([nap.signal, stop.signal]))
    }
  }
  const done = run()
  return {
    wake() {
      woken = true
      nap.abort()
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await done
    },
  }
}

/** Waits `ms`, or less when the signal aborts; never rejects. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
