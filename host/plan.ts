/** What to do next with one sandbox: a pure decision from what is desired, what is observed and what is remembered. */
import type { SandboxState, SandboxStep } from '../contract/sandboxes.ts'
import type { DesiredSandbox } from '../contract/sync.ts'
import { backOffMs } from '../lib/back-off.ts'
import type { Observed } from './driver.ts'
import type { SandboxRecord } from './records.ts'

/** Verbs the host can carry out; `watch` asks the ready check in the background. */
export type Verb =
  | 'create'
  | 'update'
  | 'writeFiles'
  | 'applyFiles'
  | 'start'
  | 'stop'
  | 'pause'
  | 'resume'
  | 'destroy'
  | 'watch'

export interface Report {
  state: SandboxState
  step: SandboxStep | null
  reason: string | null
  ready: boolean
}

export type Next = { verb: Verb; report: Report } | { verb: null; report: Report }

export interface Situation {
  want: DesiredSandbox
  have: Observed | undefined
  record: SandboxRecord
  template: { ready: boolean; reason: string | null }
  /** Hashes of what is desired, to be compared with the record's. */
  filesHash: string
  specHash: string
  canUpdate: boolean
  /** When the exit of the main process was first seen. */
  crashedAt: number
  /** Why the ready check has not answered in time; null while it still has time. */
  lateReason: string | null
  now: number
}

const restartBackOff = { firstMs: 1_000, maxMs: 60_000 }
/** A run at least this long counts as healthy: the next crash begins with a short wait again. */
export const healthyRunMs = 60_000

export function planNext(s: Situation): Next {
  switch (s.want.state) {
    case 'destroyed':
      return { verb: 'destroy', report: { state: stateOf(s.have), step: null, reason: null, ready: false } }
    case 'stopped':
      if (s.have === undefined || s.have.state === 'stopped') return rest('stopped')
      return { verb: 'stop', report: report(s.have.state) }
    case 'paused':
      return planPaused(s)
    case 'running':
      return planRunning(s)
  }
}

function planPaused({ have }: Situation): Next {
  switch (have?.state) {
    case 'paused':
      return rest('paused')
    case 'running':
      return { verb: 'pause', report: report('running') }
    case 'stopped':
    case undefined:
      return rest('stopped', 'its memory is gone since its machine restarted; starting it boots it again')
  }
}

function planRunning(s: Situation): Next {
  const { have, want, record } = s
  if (have === undefined) return planCreate(s)
  switch (have.state) {
    case 'paused':
      return { verb: record.generation === want.generation ? 'resume' : 'stop', report: report('paused') }
    case 'stopped':
      return planStart(s, have)
    case 'running':
      if (record.generation !== want.generation) return { verb: 'stop', report: starting('booting') }
      if (record.filesHash !== s.filesHash) return { verb: 'applyFiles', report: running(s, have) }
      return { verb: isReady(s, have) ? null : 'watch', report: running(s, have) }
  }
}

function planCreate({ template }: Situation): Next {
  if (template.ready) return { verb: 'create', report: starting('creating') }
  if (template.reason === null) return { verb: null, report: starting('template') }
  return {
    verb: null,
    report: { state: 'error', step: 'template', reason: template.reason, ready: false },
  }
}

function planStart(s: Situation, have: Observed): Next {
  const { want, record } = s
  const crashed = have.exit !== null && record.generation === want.generation
  const reason = crashed ? exitReason(have.exit, want) : null
  // It would only fill up again; its owner starts it to make room.
  if (crashed && have.exit?.outOfDisk === true) return rest('error', reason)
  if (crashed && want.spec.start?.restart === 'never') return rest(have.exit?.code === 0 ? 'stopped' : 'error', reason)
  const dueAt = s.crashedAt + backOffMs(record.crashes, restartBackOff)
  if (crashed && s.now < dueAt)
    return { verb: null, report: { ...starting('booting'), reason: `${reason}; it restarts by itself` } }
  if (s.canUpdate && record.specHash !== s.specHash) return { verb: 'update', report: starting('booting', reason) }
  if (record.filesHash !== s.filesHash) return { verb: 'writeFiles', report: starting('booting', reason) }
  return { verb: 'start', report: starting('booting', reason) }
}

function isReady(s: Situation, have: Observed): boolean {
  return s.want.spec.ready === null || (have.startedAt !== null && s.record.readyRun === have.startedAt)
}

function running(s: Situation, have: Observed): Report {
  if (isReady(s, have)) return { state: 'running', step: null, reason: null, ready: true }
  if (s.lateReason !== null) return { state: 'error', step: 'waiting', reason: s.lateReason, ready: false }
  return starting('waiting')
}

const starting = (step: SandboxStep, reason: string | null = null): Report => ({
  state: 'creating',
  step,
  reason,
  ready: false,
})
const report = (state: SandboxState, reason: string | null = null): Report => ({
  state,
  step: null,
  reason,
  ready: false,
})
const rest = (state: SandboxState, reason: string | null = null): Next => ({
  verb: null,
  report: report(state, reason),
})
const stateOf = (have: Observed | undefined): SandboxState => have?.state ?? 'stopped'

/** Why the start command is not running any more, as a sentence for its owner. */
export function exitReason(exit: Observed['exit'], want: DesiredSandbox): string {
  if (exit === null) return 'it is stopped'
  if (exit.outOfMemory)
    return `it ran out of memory and was killed (limit ${want.spec.size.memoryMiB} MiB); choose a larger size`
  if (exit.outOfDisk === true)
    return `it was stopped because its disk is full (limit ${want.spec.size.diskGiB} GiB and ${want.spec.size.diskGiB * 65_536} files); start it to delete some, or make one with a larger disk`
  if (exit.signal !== null) return `its start command was killed by ${exit.signal}; its log may tell why`
  return `its start command exited with code ${exit.code}; its log may tell why`
}
