import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { AuditRecord } from '../contract/egress.ts'
import { SlopboxError } from '../contract/errors.ts'
import type { Meter } from '../contract/usage.ts'
import { openCounters } from '../lib/counters.ts'
import { silentLog } from '../lib/log.ts'
import { openSpool } from '../lib/spool.ts'
import { createFlows, type Flows } from './flows.ts'
import { createPolicies } from './policies.ts'
import { createAudit } from './steps/audit.ts'
import { startSync, type CallControl, type SyncAnswer } from './sync.ts'
import { emptyPolicy } from './testing.ts'

type Body = Parameters<CallControl>[0]
const answer = (sandboxes: string[]): SyncAnswer => ({
  hash: sandboxes.join(),
  policies: sandboxes.map((id) => emptyPolicy(id, 'ag0123456789abcdef')),
  allowedRanges: [],
  extraRoots: '',
  validMs: 60_000,
})

/** One life of the parts that report, on a directory that outlives it. */
function life(directory: string, call: CallControl, reportEveryMs = 5) {
  const spool = openSpool<AuditRecord>(join(directory, 'audit'))
  const counters = openCounters<Meter>(join(directory, 'counters'))
  const policies = createPolicies(silentLog)
  const wake = { news: (): void => {} }
  const audit = createAudit(spool, silentLog, () => wake.news())
  const flows = createFlows(policies, counters, audit, () => wake.news())
  const sync = startSync({ call, policies, flows, counters, spool, log: silentLog, version: 't', reportEveryMs })
  wake.news = () => sync.news()
  return {
    flows,
    counters,
    async stop() {
      await sync[Symbol.asyncDispose]()
      counters[Symbol.dispose]()
      spool[Symbol.dispose]()
      policies[Symbol.dispose]()
    },
  }
}
function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'sync-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}
const use = (flows: Flows, host: string): void => {
  const flow = flows.open({ kind: 'http', sandboxId: 'sb0123456789abcdef', host })
  flow.pass('out', 10)
  flow.end()
}
/** Answers held questions only when the caller gives them up. */
const held = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    const give = (): void => reject(new SlopboxError('unavailable', 'given up'))
    if (signal.aborted) give()
    else signal.addEventListener('abort', give)
  })

test('a report whose answer was lost is repeated in the next life, and one that was answered is not', async (t) => {
  const directory = scratch(t)
  const first = Promise.withResolvers<Body>()
  const one = life(directory, async (body, signal) => {
    if (body.audit.length > 0) first.resolve(body)
    return body.audit.length > 0 || body.holdMs !== 0 ? await held(signal) : answer(['sb0123456789abcdef'])
  })
  use(one.flows, 'a.example')
  const lost = await first.promise
  await one.stop()

  const got: Body[] = []
  const quiet = Promise.withResolvers<void>()
  const two = life(directory, async (body, signal) => {
    got.push(body)
    if (body.holdMs !== 0) {
      quiet.resolve()
      return await held(signal)
    }
    return answer(['sb0123456789abcdef'])
  })
  await quiet.promise
  assert.deepEqual(
    got.flatMap(({ audit }) => audit),
    lost.audit,
  )
  assert.deepEqual(
    got.flatMap(({ readings }) => readings),
    lost.readings,
  )
  await two.stop()
})

test('news ends a held question, and the report goes up before the next is held', async (t) => {
  const holding: (() => void)[] = []
  const reported = Promise.withResolvers<Body>()
  const it = life(scratch(t), async (body, signal) => {
    if (body.audit.length > 0) reported.resolve(body)
    if (body.holdMs === 0) return answer(['sb0123456789abcdef'])
    holding.shift()?.()
    return await held(signal)
  })
  await new Promise<void>((resolve) => holding.push(resolve))
  use(it.flows, 'b.example')
  const body = await reported.promise
  assert.equal(body.holdMs, 0)
  assert.equal(body.audit[0]?.host, 'b.example')
  assert.equal(body.readings[0]?.total, 10)
  await it.stop()
})

test('policies do not wait for the next report', async (t) => {
  const later = Promise.withResolvers<AbortSignal>()
  const release = Promise.withResolvers<void>()
  const applied = Promise.withResolvers<void>()
  let reported = false
  const call: CallControl = async (body, signal) => {
    reported ||= body.audit.length > 0
    if (body.hash === 'new') applied.resolve()
    if (body.holdMs === 0) return answer(['sb0123456789abcdef'])
    if (!reported || body.hash === 'new') return await held(signal)
    later.resolve(signal)
    await release.promise
    return { ...answer([]), hash: 'new' }
  }
  const it = life(scratch(t), call, 3_600_000)
  use(it.flows, 'a.example')
  // News that has to wait an hour for its turn.
  const question = await later.promise
  use(it.flows, 'b.example')
  assert.equal(question.aborted, false)
  release.resolve()
  await applied.promise
  await it.stop()
})

test('the counters of a sandbox that is gone are forgotten only after their last reading arrived', async (t) => {
  let sandboxes = ['sb0123456789abcdef']
  let last: Body | undefined
  const settled: { want: number; done: () => void }[] = []
  const it = life(scratch(t), async (body, signal) => {
    if (body.readings.length > 0) last = body
    if (body.holdMs === 0) return answer(sandboxes)
    const total = it.counters.total('sb0123456789abcdef', 'egress_out_bytes')
    for (const one of settled) if (one.want === total) one.done()
    return await held(signal)
  })
  const until = (want: number): Promise<void> => new Promise((done) => settled.push({ want, done }))
  const counted = until(10)
  use(it.flows, 'c.example')
  await counted
  sandboxes = []
  const forgotten = until(0)
  use(it.flows, 'd.example')
  await forgotten
  assert.equal(last?.readings[0]?.total, 20)
  await it.stop()
})

test('a record that control refuses is left out and all others arrive', async (t) => {
  const arrived: string[] = []
  const all = Promise.withResolvers<void>()
  const it = life(scratch(t), async (body, signal) => {
    if (body.audit.some(({ host }) => host === 'bad')) throw new SlopboxError('invalid_request', 'no')
    arrived.push(...body.audit.map(({ host }) => host ?? ''))
    if (arrived.length === 6) all.resolve()
    return body.holdMs === 0 ? answer(['sb0123456789abcdef']) : await held(signal)
  })
  for (const host of ['1', '2', '3', 'bad', '4', '5', '6']) use(it.flows, host)
  await all.promise
  assert.deepEqual(arrived, ['1', '2', '3', '4', '5', '6'])
  await it.stop()
})
