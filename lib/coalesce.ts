/**
 * Work that takes in everything there is to do: a call while it runs waits for one more run, which all such calls share.
 * Each call resolves or rejects with a run that began after it.
 */
export function coalesced(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined
  let queued: Promise<void> | undefined
  const begin = (): Promise<void> => {
    const run = work().finally(() => {
      running = undefined
    })
    running = run
    return run
  }
  const afterwards = (): Promise<void> => {
    queued = undefined
    return begin()
  }
  return () => {
    if (running === undefined) return begin()
    queued ??= running.then(afterwards, afterwards)
    return queued
  }
}
