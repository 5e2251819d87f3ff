export interface TokenBuckets {
  /** Takes one token of the key. Returns 0 when there was one, else the milliseconds until there will be. */
  take(key: string): number
}

export interface BucketOptions {
  /** Most tokens a key can have saved. */
  burst: number
  perSecond: number
  /** Keys remembered at once; the one longest unused is forgotten first. */
  maxKeys: number
  /** Monotonic milliseconds. */
  now: () => number
}

/** Token buckets by key, in bounded memory: one that is full again need not be remembered. */
export function tokenBuckets(options: BucketOptions): TokenBuckets {
  const buckets = new Map<string, { tokens: number; at: number }>()
  return {
    take(key) {
      const now = options.now()
      const before = buckets.get(key) ?? { tokens: options.burst, at: now }
      const tokens = Math.min(options.burst, before.tokens + ((now - before.at) / 1000) * options.perSecond)
      const granted = tokens >= 1
      // Re-inserted, so that the map's order is the order of last use.
      buckets.delete(key)
      buckets.set(key, { tokens: granted ? tokens - 1 : tokens, at: now })
      if (buckets.size > options.maxKeys) buckets.delete(buckets.keys().next().value ?? key)
      return granted ? 0 : Math.ceil(((1 - tokens) / options.perSecond) * 1000)
    },
  }
}
