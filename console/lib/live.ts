import { useQueryClient, type QueryClient } from '@tanstack/react-query'
import { useEffect, useSyncExternalStore } from 'react'
import { streamChanges, type Change } from '../../contract/events.ts'
import { stream } from '../../sdk/stream.ts'
import { isAffected } from './affected.ts'
import { client } from './api.ts'

let connected = false
const watchers = new Set<() => void>()
const setConnected = (next: boolean): void => {
  connected = next
  for (const watcher of watchers) watcher()
}
const watch = (watcher: () => void): (() => void) => {
  watchers.add(watcher)
  return () => watchers.delete(watcher)
}

/** Keeps one stream of changes open while someone is signed in, and has what changed asked for again. */
export function useLive(on: boolean): void {
  const queries = useQueryClient()
  useEffect(() => {
    if (!on) return undefined
    const leave = new AbortController()
    void follow(queries, leave.signal)
    return () => leave.abort()
  }, [on, queries])
}

/** How often to ask while something is on its way: a safety net under the stream, or instead of it. */
export const useEagerMs = (): number => (useSyncExternalStore(watch, () => connected) ? 6_000 : 3_000)

async function follow(queries: QueryClient, signal: AbortSignal): Promise<void> {
  const refresh = collect(queries)
  let waitMs = 1_000
  let opened = false
  while (!signal.aborted) {
    try {
      for await (const change of stream(client, streamChanges, { signal })) {
        waitMs = 1_000
        setConnected(true)
        // The first opening says nothing new: the page has just asked.
        if (change.kind !== 'stream.open' || opened) refresh(change)
        opened = true
      }
    } catch {
      // A lost stream is no error of the page: it polls until the stream is back.
    }
    setConnected(false)
    await pause(waitMs, signal)
    waitMs = Math.min(waitMs * 2, 30_000)
  }
}

/** Changes come in bursts; each answer is asked for once per burst. */
function collect(queries: QueryClient): (change: Change) => void {
  let pending: Change[] = []
  return (change) => {
    pending.push(change)
    if (pending.length > 1) return
    setTimeout(() => {
      const changes = pending
      pending = []
      void queries.invalidateQueries({
        predicate: (query) => changes.some((one) => isAffected(one, query.queryKey)),
      })
    }, 120)
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true })
  })
