import { authorize } from '../contract/sync.ts'
import type { Call } from '../contract/route.ts'
import type { SocketClient } from '../lib/socket-client.ts'
import { callSocket } from '../lib/socket-client.ts'
import type { Grant, Grants, Use } from './grants.ts'

export type Question = Call<typeof authorize>['body']
export type Credentials = Question['credentials']
export type Target = Question['target']

/** Asks control; nothing is dialled before it has answered. Throws its error, or `unavailable` when it is away. */
export type Authorize = (credentials: Credentials, target: Target, signal: AbortSignal) => Promise<Grant>

const deadlineMs = 10_000
/** How long an answer serves the further requests of one page. Meanwhile the grant counts as used, so its end is told. */
const keepMs = 15_000

export interface Authorizer {
  ask: Authorize
  /** As `ask`, for the many requests of one page: an answer is kept for a while, as long as control is listening. */
  askForPage(sessionId: string, target: Target, signal: AbortSignal): Promise<Grant>
}

export interface AuthorizerDeps {
  control: SocketClient
  grants: Grants
  /** Whether the last exchange with control worked, so that the end of a grant would be known. */
  listening: () => boolean
}

export function authorizer(deps: AuthorizerDeps): Authorizer {
  const kept = new Map<string, { grant: Grant; use: Use; timer: NodeJS.Timeout }>()
  const ask: Authorize = (credentials, target, signal) =>
    callSocket(
      deps.control,
      authorize,
      { params: {}, query: {}, body: { credentials, target } },
      AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]),
    )
  const drop = (key: string): void => {
    const entry = kept.get(key)
    if (entry === undefined) return
    kept.delete(key)
    clearTimeout(entry.timer)
    entry.use.release()
  }
  return {
    ask,
    async askForPage(sessionId, target, signal) {
      const key = JSON.stringify([sessionId, target])
      const entry = kept.get(key)
      if (entry !== undefined && deps.listening()) return entry.grant
      const grant = await ask({ sessionId }, target, signal)
      drop(key)
      const use = deps.grants.use(grant, () => drop(key))
      kept.set(key, { grant, use, timer: setTimeout(() => drop(key), keepMs).unref() })
      return grant
    },
  }
}
