import type { Change } from '../../contract/events.ts'
import { streamChanges } from '../../contract/events.ts'
import { mountStream } from '../../lib/mount.ts'
import type { App } from '../../lib/mount.ts'
import type { Caller } from '../auth/caller.ts'
import type { Wake } from '../wake.ts'

const mostWaiting = 500

export function mountEvents(
  app: App<Caller>,
  deps: { wake: Wake; fromSession: (id: string) => Promise<Caller> },
): void {
  mountStream(app, streamChanges, async ({ caller, signal }) => changesOf(deps, caller, signal))
}

/**
 * Changes to the caller's team until he leaves or his session ends. A reader too slow to keep up is cut off, so that he
 * connects and reads everything again instead of missing some.
 */
async function* changesOf(
  deps: { wake: Wake; fromSession: (id: string) => Promise<Caller> },
  caller: Caller,
  signal: AbortSignal,
): AsyncGenerator<Change> {
  const waiting: Change[] = []
  let news = Promise.withResolvers<void>()
  const off = deps.wake.onChange(caller.team.id, ({ kind, agentId, sandboxId, at }) => {
    waiting.push({ kind, agentId, sandboxId, at })
    news.resolve()
  })
  const stop = (): void => news.resolve()
  signal.addEventListener('abort', stop, { once: true })
  try {
    yield { kind: 'stream.open', agentId: null, sandboxId: null, at: new Date().toISOString() }
    while (!signal.aborted) {
      await news.promise
      if (signal.aborted || waiting.length > mostWaiting) return
      news = Promise.withResolvers<void>()
      if (caller.sessionId !== null) await deps.fromSession(caller.sessionId)
      yield* waiting.splice(0)
    }
  } finally {
    off()
    signal.removeEventListener('abort', stop)
  }
}
