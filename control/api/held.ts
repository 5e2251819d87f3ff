import { createHash } from 'node:crypto'
import type { Listener, Wake } from '../wake.ts'

export interface Held<T> {
  /** Hash of what the caller has. */
  hash: string | null
  holdMs: number
  /** Aborts when the caller is gone. */
  signal: AbortSignal
  wake: Wake
  listener: Listener
  compose: () => Promise<T>
}

/** Answers as soon as what is composed differs from what the caller has, or when the time is over. */
export async function hold<T extends object>(held: Held<T>): Promise<T & { hash: string }> {
  const over = AbortSignal.any([held.signal, AbortSignal.timeout(held.holdMs)])
  for (;;) {
    // Counted before reading, so that a signal during the read is not missed.
    const since = held.wake.count(held.listener)
    const value = await held.compose()
    const hash = createHash('sha256').update(JSON.stringify(value)).digest('base64url')
    if (hash !== held.hash || over.aborted) return { ...value, hash }
    await held.wake.next(held.listener, since, over)
  }
}
