export interface BackOffRange {
  firstMs: number
  maxMs: number
}

/** Doubles from `firstMs` to `maxMs`; `attempt` counts from 0. */
export function backOffMs(attempt: number, { firstMs, maxMs }: BackOffRange): number {
  return Math.min(maxMs, firstMs * 2 ** Math.min(attempt, 30))
}

/** Between half of it and all of it, so that many callers do not come back at the same moment. */
export function jittered(ms: number, random: () => number): number {
  return ms * (0.5 + random() / 2)
}
