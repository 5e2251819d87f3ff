import { createHash } from 'node:crypto'
import type { AuditRecord } from '../contract/egress.ts'
import { syncGateway } from '../contract/sync.ts'
import type { Meter } from '../contract/usage.ts'
import type { Counters } from '../lib/counters.ts'
import type { Log } from '../lib/log.ts'
import { loop } from '../lib/loop.ts'
import type { SocketClient } from '../lib/socket-client.ts'
import { callSocket } from '../lib/socket-client.ts'
import type { Spool } from '../lib/spool.ts'
import type { Grants } from './grants.ts'

export interface SyncDeps {
  control: SocketClient
  grants: Grants
  counters: Counters<Meter>
  audit: Spool<AuditRecord>
  log: Log
  version: string
  /** How long what is open may go on without a word from control. */
  graceMs: number
  /** Pause between two exchanges when nothing presses. */
  everyMs?: number
}

export interface GatewaySync extends AsyncDisposable {
  /** There is something to tell: ends the held request soon. Calls within `delayMs` become one. */
  wake(delayMs: number): void
  /** Whether the last exchange worked. */
  listening(): boolean
}

const holdMs = 20_000

/** The held-open exchange with control: readings, audit and open grants up; ended grants down, and cut at once. */
export function startSync(deps: SyncDeps): GatewaySync {
  let hash: string | null = null
  let told = ''
  let lastWordAt = performance.now()
  let listening = false
  let held: AbortController | undefined
  let timer: NodeJS.Timeout | undefined

  const exchange = async (stop: AbortSignal): Promise<void> => {
    const grants = deps.grants.ids()
    const batch = deps.audit.peek(1000)
    const readings = (await deps.counters.readings()).map(({ key, ...rest }) => ({ sandboxId: key, ...rest }))
    const news = createHash('sha256')
      .update(JSON.stringify([readings, grants]))
      .digest('base64')
    // With something to report the answer is wanted now, so that it is known to be stored; otherwise it may wait, and
    // only then may a wake cut it short.
    const wait = batch.records.length > 0 || news !== told ? 0 : holdMs
    held = wait > 0 ? new AbortController() : undefined
    const signals = [stop, AbortSignal.timeout(holdMs + 10_000), ...(held === undefined ? [] : [held.signal])]
    const body = {
      protocol: 1 as const,
      version: deps.version,
      hash,
      holdMs: wait,
      grants,
      readings,
      audit: batch.records,
    }
    const reply = await callSocket(deps.control, syncGateway, { params: {}, query: {}, body }, AbortSignal.any(signals))
    deps.audit.ack(batch.mark)
    deps.grants.end(reply.ended)
    told = news
    hash = reply.hash
    lastWordAt = performance.now()
    if (!listening) deps.log.info({}, 'control answers')
    listening = true
  }
  const failed = (error: unknown): void => {
    if (listening) deps.log.warn({ err: error }, 'control does not answer: nothing new is let in')
    listening = false
    // invariant: without control what is open ends after a bounded time
    if (performance.now() - lastWordAt > deps.graceMs) deps.grants.endAll()
  }
  const exchanges = loop({
    everyMs: deps.everyMs ?? 250,
    onError: failed,
    tick: async (stop) => {
      try {
        await exchange(stop)
      } catch (error) {
        if (held?.signal.aborted !== true) throw error
      }
    },
  })
  return {
    wake(delayMs) {
      timer ??= setTimeout(() => {
        timer = undefined
        held?.abort()
        exchanges.wake()
      }, delayMs).unref()
    },
    listening: () => listening,
    async [Symbol.asyncDispose]() {
      clearTimeout(timer)
      await exchanges[Symbol.asyncDispose]()
    },
  }
}
