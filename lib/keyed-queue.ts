/** Runs work for the same key one after another and for different keys side by side. */
export class KeyedQueue {
  readonly #tails = new Map<string, Promise<unknown>>()

  /** Resolves or rejects as `work` does, after everything queued for the key before. */
  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve()
    const result = before.then(work, work)
    const tail = result
      .then(
        () => {},
        () => {},
      )
      .finally(() => {
        if (this.#tails.get(key) === tail) this.#tails.delete(key)
      })
    this.#tails.set(key, tail)
    return result
  }

  /** True while work for the key is queued or under way: background work may skip it this round. */
  busy(key: string): boolean {
    return this.#tails.has(key)
  }

  /** Resolves when nothing queued so far is left. */
  async idle(): Promise<void> {
    await Promise.all(this.#tails.values())
  }
}
