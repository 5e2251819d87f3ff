/**
 * Moves the driver's world toward the desired one. Takes no hint about what changed: every round compares all of it, so
 * a restart, a crash and a change are the same path. Verbs for one sandbox run one after another, different sandboxes
 * side by side. A sandbox that nobody knows is destroyed when it is still unknown after another answer of control.
 */
import { SlopboxError } from '../contract/errors.ts'
import type { DesiredSandbox, ObservedSandbox } from '../contract/sync.ts'
import { backOffMs } from '../lib/back-off.ts'
import { withDeadline } from '../lib/deadline.ts'
import { KeyedQueue } from '../lib/keyed-queue.ts'
import type { Log } from '../lib/log.ts'
import { Slots } from '../lib/slots.ts'
import type { z } from 'zod'
import type { Driver, Observed } from './driver.ts'
import { hashOf } from './hash.ts'
import { healthyRunMs, planNext, type Report, type Verb } from './plan.ts'
import { ReadyWatches } from './ready-watch.ts'
import type { Records } from './records.ts'
import { createVerbs, filesHash, specHash, type UsageSampler } from './verbs.ts'
import type { TemplateRoots } from './templates.ts'

export interface ReconcileDeps {
  driver: Driver
  templates: TemplateRoots
  records: Records
  usage: UsageSampler
  now: () => number
  log: Log
  /** Something that is reported changed. */
  onChange: () => void
  /** Work came to an end and another round may have something to do. */
  wake: () => void
}

export interface Reconciler extends AsyncDisposable {
  /** Takes over an answer of control; each counts as one sighting of sandboxes nobody knows. */
  setDesired(desired: readonly DesiredSandbox[]): void
  /** One round: begins what is to be done and returns without waiting for it. */
  tick(): Promise<void>
  /** Resolves when nothing is under way. */
  idle(): Promise<void>
  observed(): z.infer<typeof ObservedSandbox>[]
  /** Of the desired sandboxes as last seen; undefined when control wants none by this id. */
  stateOf(id: string): Report['state'] | undefined
}

interface Status {
  report: Report
  destroyed: boolean
  crashedAt: number | null
  failure: { reason: string; attempts: number; retryAt: number; want: string } | null
}

const listDeadlineMs = 30_000
const orphanDeadlineMs = 90_000
const parallel = 8
const retryBackOff = { firstMs: 1_000, maxMs: 120_000 }
/** Verbs one sandbox may need in a row; more means that two rules disagree. */
const maxVerbsInARow = 10

export function createReconciler(deps: ReconcileDeps): Reconciler {
  const { driver, records } = deps
  const queue = new KeyedQueue()
  const slots = new Slots(parallel)
  const statuses = new Map<string, Status>()
  let desired = new Map<string, DesiredSandbox>()
  let answers = 0
  /** Unknown sandboxes and the answer at which each was first missing. */
  const orphans = new Map<string, number>()
  const watches = new ReadyWatches(driver, () => {
    deps.onChange()
    deps.wake()
  })
  const verbs = createVerbs({ ...deps, watches })

  const statusOf = (id: string): Status => {
    const known = statuses.get(id)
    if (known !== undefined) return known
    const made: Status = {
      report: { state: 'creating', step: null, reason: null, ready: false },
      destroyed: false,
      crashedAt: null,
      failure: null,
    }
    statuses.set(id, made)
    return made
  }
  const show = (status: Status, report: Report): void => {
    if (hashOf(report) === hashOf(status.report)) return
    status.report = report
    deps.onChange()
  }
  const list = (): Promise<ReadonlyMap<string, Observed>> =>
    withDeadline('listing the sandboxes', listDeadlineMs, driver.list())

  const decide = (want: DesiredSandbox, have: Observed | undefined, status: Status) => {
    noteCrash(deps, want, have, status)
    return planNext({
      want,
      have,
      record: records.get(want.id),
      template:
        have === undefined && want.state === 'running'
          ? deps.templates.need(want.spec.template)
          : { ready: true, reason: null },
      filesHash: filesHash(want),
      specHash: specHash(want),
      canUpdate: driver.update !== undefined,
      crashedAt: status.crashedAt ?? deps.now(),
      lateReason: watches.lateReason(want.id, have?.startedAt ?? null),
      now: deps.now(),
    })
  }

  /** True when there is nothing to do now for this sandbox. */
  const settled = (want: DesiredSandbox, have: Observed | undefined): boolean => {
    const status = statusOf(want.id)
    if (status.destroyed && want.state === 'destroyed') return true
    if (status.failure !== null && status.failure.want === hashOf(want) && deps.now() < status.failure.retryAt)
      return true
    const next = decide(want, have, status)
    if (next.verb !== null && !(next.verb === 'watch' && watches.watching(want.id, have?.startedAt ?? null)))
      return false
    status.failure = null
    show(status, next.report)
    atRest(want, next.report)
    return true
  }

  /** A sandbox that was wanted stopped and is: its next start is a new beginning, not a restart after a crash. */
  const atRest = (want: DesiredSandbox, report: Report): void => {
    if (report.state !== 'running' && report.state !== 'creating') watches.stop(want.id, report.step === 'waiting')
    if (want.state === 'stopped' && records.get(want.id).generation !== null)
      records.change(want.id, { generation: null, crashes: 0 })
  }

  const converge = async (id: string): Promise<void> => {
    for (let count = 0; count < maxVerbsInARow; count++) {
      const want = desired.get(id)
      if (want === undefined) return
      const have = (await list()).get(id)
      if (settled(want, have)) return
      const status = statusOf(id)
      const next = decide(want, have, status)
      if (next.verb === null) return
      show(status, next.report)
      if (!(await attempt(want, have, status, next.verb))) return
    }
    deps.log.error({ sandboxId: id }, 'sandbox does not settle')
  }

  const attempt = async (
    want: DesiredSandbox,
    have: Observed | undefined,
    status: Status,
    verb: Verb,
  ): Promise<boolean> => {
    try {
      await withDeadline(sentence[verb], verbs.deadlineMs(verb, want), track(want.id, verbs.run(verb, want, have)))
      if (verb === 'destroy') {
        status.destroyed = true
        show(status, { state: 'destroyed', step: null, reason: null, ready: false })
      }
      if (verb === 'start') status.crashedAt = null
      status.failure = null
      return verb !== 'destroy'
    } catch (error) {
      const attempts = status.failure?.attempts ?? 0
      const reason = `${sentence[verb]}: ${messageOf(error)}`
      status.failure = {
        reason,
        attempts: attempts + 1,
        retryAt: deps.now() + backOffMs(attempts, retryBackOff),
        want: hashOf(want),
      }
      deps.log.warn({ sandboxId: want.id, verb, attempts, err: error }, reason)
      show(status, withFailure(status.report, reason))
      return false
    }
  }

  /** Verbs that outlived their deadline: nothing else may begin for that sandbox before they end. */
  const overdue = new Map<string, Promise<void>>()
  const track = (id: string, work: Promise<void>): Promise<void> => {
    const end = work
      .then(
        () => {},
        () => {},
      )
      .finally(() => {
        if (overdue.get(id) === end) overdue.delete(id)
      })
    overdue.set(id, end)
    return work
  }

  const begin = (id: string, work: () => Promise<void>): void => {
    queue
      .run(id, () => slots.run(work))
      .catch((error: unknown) => deps.log.error({ sandboxId: id, err: error }, 'round broke off'))
      .finally(() => deps.wake())
  }

  const destroyOrphan = async (id: string): Promise<void> => {
    deps.log.warn({ sandboxId: id }, 'destroying a sandbox that control does not know')
    await withDeadline('destroying it', orphanDeadlineMs, track(id, driver.destroy(id, [])))
    orphans.delete(id)
    records.remove(id)
    deps.usage.forget(id)
  }

  return {
    setDesired(next) {
      answers += 1
      desired = new Map(next.map((want) => [want.id, want]))
      for (const id of desired.keys()) orphans.delete(id)
      deps.wake()
    },
    async tick() {
      if (answers === 0) return
      const have = await list()
      for (const want of desired.values()) {
        if (queue.busy(want.id) || overdue.has(want.id)) continue
        if (!settled(want, have.get(want.id))) begin(want.id, () => converge(want.id))
      }
      for (const id of new Set([...statuses.keys(), ...records.ids(), ...deps.usage.ids()])) {
        if (desired.has(id) || have.has(id) || queue.busy(id)) continue
        watches.stop(id, false)
        statuses.delete(id)
        records.remove(id)
        deps.usage.forget(id)
      }
      for (const id of orphans.keys()) if (!have.has(id)) orphans.delete(id)
      for (const id of have.keys()) {
        if (desired.has(id) || deps.templates.owns(id) || queue.busy(id) || overdue.has(id)) continue
        const since = orphans.get(id) ?? answers
        orphans.set(id, since)
        if (since < answers) begin(id, () => destroyOrphan(id))
      }
    },
    async idle() {
      await queue.idle()
      await Promise.all(overdue.values())
    },
    observed: () =>
      [...desired.values()].map((want) => {
        const { report } = statusOf(want.id)
        const record = records.get(want.id)
        const generation = want.state === 'running' ? (record.generation ?? want.generation - 1) : want.generation
        return { id: want.id, ...report, generation, marks: { ...record.marks }, restarts: record.restarts }
      }),
    stateOf: (id) => (desired.has(id) ? statusOf(id).report.state : undefined),
    async [Symbol.asyncDispose]() {
      watches.stopAll()
      await queue.idle()
    },
  }
}

/** Remembers when the end of a run was first seen, and forgives earlier crashes after a long run. */
function noteCrash(deps: ReconcileDeps, want: DesiredSandbox, have: Observed | undefined, status: Status): void {
  if (have === undefined || have.state !== 'stopped' || have.exit === null) {
    status.crashedAt = null
    return
  }
  if (status.crashedAt !== null) return
  status.crashedAt = deps.now()
  const ran = have.startedAt === null ? 0 : deps.now() - Date.parse(have.startedAt)
  if (ran >= healthyRunMs && deps.records.get(want.id).crashes > 0) deps.records.change(want.id, { crashes: 0 })
}

/** A sandbox that runs all the same stays `running`; the reason tells what could not be done. */
function withFailure(report: Report, reason: string): Report {
  return { ...report, state: report.state === 'running' && report.ready ? 'running' : 'error', reason }
}

const sentence: Record<Verb, string> = {
  create: 'creating the sandbox',
  update: 'changing the sandbox',
  writeFiles: 'writing its files',
  applyFiles: 'applying its files',
  start: 'starting it',
  stop: 'stopping it',
  pause: 'pausing it',
  resume: 'resuming it',
  destroy: 'destroying it',
  watch: 'asking whether it is ready',
}

function messageOf(error: unknown): string {
  if (error instanceof SlopboxError) return error.hint === null ? error.message : `${error.message} (${error.hint})`
  return error instanceof Error ? error.message : String(error)
}
