import { SlopboxError } from '../contract/errors.ts'
import type { Reading, syncEgress } from '../contract/sync.ts'
import type { AuditRecord } from '../contract/egress.ts'
import type { Call, Output } from '../contract/route.ts'
import type { Meter } from '../contract/usage.ts'
import type { Counters } from '../lib/counters.ts'
import type { Log } from '../lib/log.ts'
import { loop, pause } from '../lib/loop.ts'
import type { Spool } from '../lib/spool.ts'
import type { Flows } from './flows.ts'
import type { Policies } from './policies.ts'

export type SyncAnswer = Output<typeof syncEgress>
/** One exchange with control; rejects when it fails. */
export type CallControl = (body: Call<typeof syncEgress>['body'], signal: AbortSignal) => Promise<SyncAnswer>

export interface SyncOptions {
  call: CallControl
  policies: Policies
  flows: Flows
  counters: Counters<Meter>
  spool: Spool<AuditRecord>
  log: Log
  version: string
  /** Least time between two reports. */
  reportEveryMs?: number
}

export interface Sync extends AsyncDisposable {
  /** There is something to report: a held question is given up soon, and the report goes first. */
  news(): void
}

/**
 * The conversation with control. With news, a report goes up and its prompt answer acknowledges it; without, a question
 * is held open until policies change. What was not acknowledged is reported again, which changes nothing there.
 */
export function startSync(options: SyncOptions): Sync {
  const { call, policies, spool, log, version } = options
  const reportEveryMs = options.reportEveryMs ?? 1_000
  const reported = new Map<string, number>()
  let hash: string | null = null
  let fresh = true
  let holdMs = 25_000
  let batchSize = 1_000
  let lastReport = -Infinity
  let failures = 0
  let held: AbortController | undefined
  let timer: NodeJS.Timeout | undefined

  const giveUpWhenDue = (): void => {
    if (held === undefined || timer !== undefined) return
    timer = setTimeout(
      () => {
        timer = undefined
        held?.abort()
      },
      Math.max(0, lastReport + reportEveryMs - performance.now()),
    )
  }
  /** `dueMs`: until the next report may go. Before that a question is held too, so that policies never wait for reports. */
  const exchange = async (stop: AbortSignal, dueMs: number): Promise<void> => {
    const early = fresh && dueMs > 0
    const now = fresh && !early
    const readings = now ? await changedReadings(options.counters, reported) : []
    const batch = now ? spool.peek(batchSize) : { records: [], mark: null }
    if (now) fresh = false
    const report = readings.length > 0 || batch.records.length > 0
    if (report) lastReport = performance.now()
    held = report ? undefined : new AbortController()
    // A wake that came while readings were gathered.
    if (early) giveUpWhenDue()
    else if (fresh) held?.abort()
    const body = {
      protocol: 1 as const,
      version,
      hash,
      holdMs: report || hash === null ? 0 : holdMs,
      readings,
      audit: batch.records,
    }
    try {
      const answer = await call(body, held === undefined ? stop : AbortSignal.any([stop, held.signal]))
      failures = 0
      batchSize = 1_000
      if (batch.mark !== null) spool.ack(batch.mark)
      for (const reading of readings) reported.set(idOf(reading), reading.total)
      policies.replace(answer)
      hash = answer.hash
      // Policies must be confirmed well before they end, also when nothing changes.
      holdMs = Math.min(25_000, Math.floor(answer.validMs / 3))
      forgetGone(options, answer, reported)
      if (report) fresh = true
    } catch (error) {
      if (held?.signal.aborted === true) return
      // A report that failed is still news.
      fresh = true
      if (error instanceof SlopboxError && error.code === 'invalid_request' && batch.mark !== null) {
        // One record that control will not take must not hold up all others: it is found by halving, logged, and left out.
        if (batch.records.length === 1) {
          log.error({ err: error, record: batch.records[0] }, 'control does not take this record: left out')
          spool.ack(batch.mark)
        }
        batchSize = Math.max(1, Math.floor(batch.records.length / 2))
        return
      }
      throw error
    } finally {
      held = undefined
    }
  }
  const running = loop({
    everyMs: 0,
    async tick(stop) {
      if (failures > 0) await pause(Math.min(5_000, 250 * 2 ** failures), stop)
      // What belongs to the same turn as the news goes up together with it.
      if (fresh) await pause(0, stop)
      if (!stop.aborted) await exchange(stop, Math.ceil(lastReport + reportEveryMs - performance.now()))
    },
    onError(error) {
      failures++
      // The first failure and then every tenth: control may be down for long.
      if (failures % 10 === 1) log.warn({ err: error, failures }, 'control does not answer')
    },
  })
  return {
    news() {
      fresh = true
      giveUpWhenDue()
    },
    async [Symbol.asyncDispose]() {
      clearTimeout(timer)
      await running[Symbol.asyncDispose]()
    },
  }
}

const idOf = (reading: Reading): string => `${reading.epoch} ${reading.meter} ${reading.sandboxId}`

async function changedReadings(counters: Counters<Meter>, reported: ReadonlyMap<string, number>): Promise<Reading[]> {
  const all = (await counters.readings()).map(({ key, ...rest }) => ({ sandboxId: key, ...rest }))
  return all.filter((reading) => reported.get(idOf(reading)) !== reading.total)
}

/** Counters of sandboxes that control no longer knows go, once their last reading has arrived and nothing of them is open. */
function forgetGone(
  { counters, flows, policies }: SyncOptions,
  answer: SyncAnswer,
  reported: Map<string, number>,
): void {
  const known = new Set(answer.policies.map(({ sandboxId }) => sandboxId))
  const gone = new Map<string, string[]>()
  for (const id of reported.keys()) {
    const [, , sandboxId = ''] = id.split(' ')
    if (!known.has(sandboxId) && policies.get(sandboxId) === undefined)
      gone.set(sandboxId, [...(gone.get(sandboxId) ?? []), id])
  }
  for (const [sandboxId, ids] of gone) {
    const settled = ids.every((id) => counters.total(sandboxId, id.split(' ')[1] as Meter) === reported.get(id))
    if (!settled || flows.count(sandboxId) > 0) continue
    counters.forget(sandboxId)
    for (const id of ids) reported.delete(id)
  }
}
