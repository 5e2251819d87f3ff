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
import { lookAt, type Driver, type Observed } from './driver.ts'
import { hashOf } from './hash.ts'
import { healthyRunMs, planNext, type Next, type Report, type Verb } from './plan.ts'
import { ReadyWatches } from './ready-watch.ts'
import type { Records } from './records.ts'
import { createVerbs, filesHash, specHash, type UsageSampler, type Verbs } from './verbs.ts'
import type { TemplateRoots } from './templates.ts'

export interface ReconcileDeps {
  driver: Driver
  templates: TemplateRoots
  records: Records
  usage: UsageSampler
  now: () => number
  log: Log
  /** Something that is reported changed; it may be said so many milliseconds later, together with what follows. */
  onChange: (withinMs?: number) => void
  /** Work came to an end and another round may have something to do. */
  wake: () => void
}

interface Status {
  /** Null until it was first looked at: a host that comes back says nothing before it knows. */
  report: Report | null
  destroyed: boolean
  crashedAt: number | null
  failure: { reason: string; attempts: number; retryAt: number; want: string } | null
}

const listDeadlineMs = 30_000
const orphanDeadlineMs = 90_000
const parallel = 8
const parallelEnds = 4
const retryBackOff = { firstMs: 1_000, maxMs: 120_000 }
const stepPatienceMs = 100
/** Verbs one sandbox may need in a row; more means that two rules disagree. */
const maxVerbsInARow = 10

export class Reconciler implements AsyncDisposable {
  readonly #deps: ReconcileDeps
  readonly #queue = new KeyedQueue()
  readonly #slots = new Slots(parallel)
  /** Ends have places of their own: what shall begin does not wait for a hundred that shall go. */
  readonly #endSlots = new Slots(parallelEnds)
  readonly #statuses = new Map<string, Status>()
  readonly #watches: ReadyWatches
  readonly #verbs: Verbs
  /** Unknown sandboxes and the answer at which each was first missing. */
  readonly #orphans = new Map<string, number>()
  /** Verbs under way, also past their deadline: nothing else may begin for that sandbox before they end. */
  readonly #underWay = new Map<string, Promise<void>>()
  #desired = new Map<string, DesiredSandbox>()
  #answers = 0

  constructor(deps: ReconcileDeps) {
    this.#deps = deps
    this.#watches = new ReadyWatches(deps.driver, () => {
      deps.onChange()
      deps.wake()
    })
    this.#verbs = createVerbs({ ...deps, watches: this.#watches })
  }

  /** Takes over an answer of control; each counts as one sighting of sandboxes nobody knows. */
  setDesired(desired: readonly DesiredSandbox[]): void {
    this.#answers += 1
    this.#desired = new Map(desired.map((want) => [want.id, want]))
    for (const id of this.#desired.keys()) this.#orphans.delete(id)
    this.#deps.wake()
  }

  /** How many sandboxes control wants. */
  wanted(): number {
    return this.#desired.size
  }

  /** One round: begins what is to be done and returns without waiting for it. */
  async tick(): Promise<void> {
    if (this.#answers === 0) return
    const have = await this.#list()
    for (const want of this.#desired.values()) {
      if (this.#busy(want.id)) continue
      try {
        if (!this.#settled(want, have.get(want.id))) this.#begin(want.id, () => this.#converge(want.id))
      } catch (error) {
        // A full disk, for one: it must not keep the other sandboxes from their turn.
        this.#deps.log.error({ sandboxId: want.id, err: error }, 'sandbox cannot be looked after')
      }
    }
    this.#forgetGone(have)
    this.#sightOrphans(have)
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await this.#queue.idle()
    await Promise.all(this.#underWay.values())
  }

  /** What control is told; a sandbox that was not looked at yet is left out. */
  observed(): z.infer<typeof ObservedSandbox>[] {
    return [...this.#desired.values()].flatMap((want) => {
      const report = this.#statuses.get(want.id)?.report
      if (report === undefined || report === null) return []
      const { generation: last, marks, restarts } = this.#deps.records.get(want.id)
      const generation = want.state === 'running' ? (last ?? want.generation - 1) : want.generation
      return { id: want.id, ...report, generation, marks, restarts }
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watches.stopAll()
    await this.#queue.idle()
  }

  #list(): Promise<ReadonlyMap<string, Observed>> {
    return withDeadline('listing the sandboxes', listDeadlineMs, this.#deps.driver.list())
  }

  #busy(id: string): boolean {
    return this.#queue.busy(id) || this.#underWay.has(id)
  }

  #status(id: string): Status {
    const known = this.#statuses.get(id)
    if (known !== undefined) return known
    const made: Status = { report: null, destroyed: false, crashedAt: null, failure: null }
    this.#statuses.set(id, made)
    return made
  }

  #show(status: Status, report: Report): void {
    if (status.report !== null && hashOf(report) === hashOf(status.report)) return
    status.report = report
    // A step on the way is mostly over before it could be told.
    this.#deps.onChange(report.state === 'creating' ? stepPatienceMs : 0)
  }

  #decide(want: DesiredSandbox, have: Observed | undefined, status: Status): Next {
    const { driver, records, templates, now } = this.#deps
    noteCrash(this.#deps, want, have, status)
    const needsTemplate = have === undefined && want.state === 'running'
    return planNext({
      want,
      have,
      record: records.get(want.id),
      template: needsTemplate ? templates.need(want.spec.template) : { ready: true, reason: null },
      filesHash: filesHash(want),
      specHash: specHash(want),
      canUpdate: driver.update !== undefined,
      crashedAt: status.crashedAt ?? now(),
      lateReason: this.#watches.lateReason(want.id, have?.startedAt ?? null),
      now: now(),
    })
  }

  /** True when there is nothing to do now for this sandbox. */
  #settled(want: DesiredSandbox, have: Observed | undefined): boolean {
    const status = this.#status(want.id)
    if (status.destroyed && want.state === 'destroyed') return true
    const { failure } = status
    if (failure !== null && failure.want === hashOf(want) && this.#deps.now() < failure.retryAt) return true
    const next = this.#decide(want, have, status)
    const watched = next.verb === 'watch' && this.#watches.watching(want.id, have?.startedAt ?? null)
    if (next.verb !== null && !watched) return false
    status.failure = null
    this.#show(status, next.report)
    this.#rest(want, next.report)
    return true
  }

  /** A sandbox that was wanted stopped and is: its next start is a new beginning, not a restart after a crash. */
  #rest(want: DesiredSandbox, report: Report): void {
    const { records } = this.#deps
    if (report.state !== 'running' && report.state !== 'creating' && report.step !== 'waiting')
      this.#watches.stop(want.id)
    if (want.state === 'stopped' && records.get(want.id).generation !== null)
      records.change(want.id, { generation: null, crashes: 0 })
  }

  async #converge(id: string): Promise<void> {
    for (let count = 0; count < maxVerbsInARow; count++) {
      const want = this.#desired.get(id)
      if (want === undefined) return
      const looking = lookAt(this.#deps.driver, id)
      const have = await withDeadline('looking at the sandbox', listDeadlineMs, looking)
      if (this.#settled(want, have)) return
      const status = this.#status(id)
      const next = this.#decide(want, have, status)
      if (next.verb === null) return
      this.#show(status, next.report)
      if (!(await this.#attempt(want, have, status, next))) return
    }
    const want = this.#desired.get(id)
    if (want === undefined) return
    const stuck: Report = { state: 'error', step: null, reason: null, ready: false }
    this.#fail(want, stuck, `it does not settle after ${maxVerbsInARow} changes`, undefined)
  }

  /** False when the sandbox is to be left alone for now. */
  async #attempt(
    want: DesiredSandbox,
    have: Observed | undefined,
    status: Status,
    { verb, report }: { verb: Verb; report: Report },
  ): Promise<boolean> {
    try {
      const work = this.#track(want.id, this.#verbs.run(verb, want, have))
      await withDeadline('it', this.#verbs.deadlineMs(verb, want), work)
    } catch (error) {
      this.#fail(want, report, `${sentence[verb]}: ${messageOf(error)}`, error)
      return false
    }
    if (verb === 'destroy') {
      status.destroyed = true
      this.#show(status, { state: 'destroyed', step: null, reason: null, ready: false })
    }
    if (verb === 'start') status.crashedAt = null
    status.failure = null
    return verb !== 'destroy'
  }

  #fail(want: DesiredSandbox, report: Report, reason: string, error: unknown): void {
    const { log, now } = this.#deps
    const status = this.#status(want.id)
    const attempts = status.failure?.attempts ?? 0
    const retryAt = now() + backOffMs(attempts, retryBackOff)
    status.failure = { reason, attempts: attempts + 1, retryAt, want: hashOf(want) }
    log.warn({ sandboxId: want.id, attempts, err: error }, reason)
    this.#show(status, withFailure(report, reason))
  }

  #track(id: string, work: Promise<void>): Promise<void> {
    const over = (): void => {
      if (this.#underWay.get(id) === end) this.#underWay.delete(id)
    }
    const end = work.then(over, over)
    this.#underWay.set(id, end)
    return work
  }

  /**
   * What breaks off is taken up by the next regular round. An end in order asks for one at once only when something else
   * is desired by now: a round looks at every sandbox, and with many of them under way each end would cost one.
   */
  #begin(id: string, work: () => Promise<void>): void {
    const { log, wake } = this.#deps
    const state = this.#desired.get(id)?.state
    const slots = state === 'running' || state === 'paused' ? this.#slots : this.#endSlots
    let begunWith: DesiredSandbox | undefined
    const run = (): Promise<void> => {
      begunWith = this.#desired.get(id)
      return work()
    }
    this.#queue
      .run(id, () => slots.run(run))
      .then(
        () => {
          if (hashOf(this.#desired.get(id) ?? null) !== hashOf(begunWith ?? null)) wake()
        },
        (error: unknown) => log.error({ sandboxId: id, err: error }, 'round broke off'),
      )
  }

  /** Drops what is remembered of sandboxes that are neither wanted nor there. */
  #forgetGone(have: ReadonlyMap<string, Observed>): void {
    const { records, usage } = this.#deps
    for (const id of new Set([...this.#statuses.keys(), ...records.ids(), ...usage.ids()])) {
      if (this.#desired.has(id) || have.has(id) || this.#busy(id)) continue
      this.#watches.stop(id)
      this.#statuses.delete(id)
      records.remove(id)
      usage.forget(id)
    }
  }

  #sightOrphans(have: ReadonlyMap<string, Observed>): void {
    for (const id of this.#orphans.keys()) if (!have.has(id)) this.#orphans.delete(id)
    for (const id of have.keys()) {
      if (this.#desired.has(id) || this.#deps.templates.owns(id) || this.#busy(id)) continue
      const since = this.#orphans.get(id) ?? this.#answers
      this.#orphans.set(id, since)
      if (since < this.#answers) this.#begin(id, () => this.#destroyOrphan(id))
    }
  }

  async #destroyOrphan(id: string): Promise<void> {
    const { driver, log, records, usage } = this.#deps
    log.warn({ sandboxId: id }, 'destroying a sandbox that control does not know')
    await usage.sample(id)
    const work = this.#track(id, driver.destroy(id, []))
    await withDeadline('destroying an unknown sandbox', orphanDeadlineMs, work)
    this.#orphans.delete(id)
    records.remove(id)
    usage.forget(id)
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
