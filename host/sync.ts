/**
 * The host's exchange with control: observed up, desired down. A request is held open by control until something changed;
 * news of our own ends it early. While control is away everything goes on as it was last desired.
 */
import { SlopboxError } from '../contract/errors.ts'
import type { Call, Output } from '../contract/route.ts'
import { syncHost } from '../contract/sync.ts'
import { backOffMs, jittered } from '../lib/back-off.ts'
import type { Log } from '../lib/log.ts'
import { pause } from '../lib/loop.ts'
import { callSocket, type SocketClient } from '../lib/socket-client.ts'

export type HostReport = Omit<Call<typeof syncHost>['body'], 'hash' | 'holdMs' | 'protocol'>
export type HostReply = Output<typeof syncHost>

export interface SyncDeps {
  client: SocketClient
  report: () => HostReport
  /** Takes over what is desired. Called only with answers that may be acted upon. */
  apply: (reply: HostReply) => void
  /** Control has stored this report. */
  accepted: (report: HostReport) => void
  /** Control did not answer: what it was told before may be lost with it. */
  onAway: () => void
  /** True when an answer without sandboxes would destroy some. */
  hasSandboxes: () => boolean
  log: Log
  random: () => number
  holdMs?: number
}

export interface Sync extends AsyncDisposable {
  /** Something that is reported changed: say it now, or at the latest in so many milliseconds. */
  changed(withinMs?: number): void
}

const awayBackOff = { firstMs: 250, maxMs: 10_000 }
/** How much longer than the hold an answer may take. */
const slackMs = 15_000
/**
 * A report gets this long to arrive before news replaces it, and longer each time it was replaced, so that a stream of
 * news cannot keep every request from being answered.
 */
const settleBackOff = { firstMs: 4, maxMs: 1_000 }

export function startSync(deps: SyncDeps): Sync {
  const stop = new AbortController()
  const holdMs = deps.holdMs ?? 25_000
  let held = new AbortController()
  let dirty = false
  let later: NodeJS.Timeout | undefined
  let hash: string | null = null

  const exchange = async (
    replaced: number,
    askedHash: string | null,
  ): Promise<{ reply: HostReply; report: HostReport } | undefined> => {
    dirty = false
    clearTimeout(later)
    later = undefined
    held = new AbortController()
    const sentAt = performance.now()
    const report = deps.report()
    const replacedBy = new AbortController()
    const replace = (): void => {
      const wait = Math.max(0, backOffMs(replaced, settleBackOff) - (performance.now() - sentAt))
      void pause(wait, stop.signal).then(() => replacedBy.abort())
    }
    held.signal.addEventListener('abort', replace, { once: true })
    const late = AbortSignal.timeout(holdMs + slackMs)
    const signal = AbortSignal.any([stop.signal, replacedBy.signal, late])
    try {
      const body = { hash: askedHash, holdMs, protocol: 1 as const, ...report }
      const reply = await callSocket(deps.client, syncHost, { params: {}, query: {}, body }, signal)
      return { reply, report }
    } catch (error) {
      if (replacedBy.signal.aborted && !late.aborted) return undefined
      throw error
    } finally {
      held.signal.removeEventListener('abort', replace)
    }
  }

  /** An answer without sandboxes, where there are some, is asked for once more before it counts. */
  const sure = async (reply: HostReply): Promise<HostReply | undefined> => {
    if (reply.sandboxes.length > 0 || !deps.hasSandboxes()) return reply
    deps.log.warn({}, 'control wants no sandboxes although there are some: asking again')
    const again = await exchange(maxReplaced, null)
    return again?.reply
  }

  const run = async (): Promise<void> => {
    let away = 0
    let replaced = 0
    while (!stop.signal.aborted) {
      try {
        const answer = await exchange(replaced, hash)
        replaced = answer === undefined ? Math.min(replaced + 1, maxReplaced) : 0
        if (answer === undefined) continue
        away = recovered(deps.log, away)
        deps.accepted(answer.report)
        if (answer.reply.hash === hash) continue
        const reply = await sure(answer.reply)
        if (reply === undefined) continue
        deps.apply(reply)
        hash = reply.hash
      } catch (error) {
        if (stop.signal.aborted) return
        if (away === 0) deps.log.warn({ err: error }, `control is away: ${messageOf(error)}`)
        // Control may have forgotten what it told us.
        hash = null
        deps.onAway()
        await pause(jittered(backOffMs(away, awayBackOff), deps.random), stop.signal)
        away += 1
      }
    }
  }
  const say = (): void => {
    dirty = true
    held.abort()
  }
  const done = run()
  return {
    changed(withinMs = 0) {
      if (dirty) return
      if (withinMs === 0) say()
      else later ??= setTimeout(say, withinMs)
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      clearTimeout(later)
      await done
    },
  }
}

const maxReplaced = 8

function recovered(log: Log, away: number): number {
  if (away > 0) log.info({ attempts: away }, 'control is back')
  return 0
}

const messageOf = (error: unknown): string => (error instanceof SlopboxError ? error.message : 'unreadable answer')
