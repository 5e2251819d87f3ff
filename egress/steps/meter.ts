import type { Meter } from '../../contract/usage.ts'
import type { Counters } from '../../lib/counters.ts'

export type Direction = 'out' | 'in'

/** Step 6: counts on disk. Call it with what is about to be passed on, never afterwards: then a crash cannot make bytes free. */
export function meterBytes(counters: Counters<Meter>, sandboxId: string, direction: Direction, bytes: number): void {
  counters.add(sandboxId, direction === 'out' ? 'egress_out_bytes' : 'egress_in_bytes', bytes)
}

export interface ModelUse {
  inputTokens: number
  /** Part of `inputTokens` the endpoint served from its cache. */
  cachedTokens: number
  outputTokens: number
}

export function meterModel(counters: Counters<Meter>, sandboxId: string, use: ModelUse): void {
  counters.add(sandboxId, 'model_input_tokens', use.inputTokens)
  counters.add(sandboxId, 'model_cached_tokens', use.cachedTokens)
  counters.add(sandboxId, 'model_output_tokens', use.outputTokens)
}
