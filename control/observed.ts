import { isDeepStrictEqual } from 'node:util'
import type { Timings } from '../contract/sandboxes.ts'
import type { ObservedSandbox } from '../contract/sync.ts'
import { json } from './store/db.ts'
import type { Db } from './store/db.ts'
import type { NewEvent } from './store/events.ts'
import { insertEvents } from './store/events.ts'
import { updateSandbox } from './store/sandboxes.ts'
import type { SandboxRow } from './store/sandboxes.ts'

/** What a report changed, for the signals after its transaction. */
export interface ObservedChanges {
  /** Sandboxes of which anything changed. */
  changed: { teamId: string; agentId: string | null; sandboxId: string }[]
  /** Some stopped running, ended or came back: policies, grants and room may differ. One that begins to run changes none. */
  stateChanged: boolean
}

/** Stores what a host says about its sandboxes; a repeated report changes nothing. Those of other hosts are ignored. */
export function storeObserved(
  db: Db,
  hostId: string,
  observed: readonly ObservedSandbox[],
  now: Date,
): Promise<ObservedChanges> {
  return db.transaction().execute(async (tx) => {
    const rows = await tx
      .selectFrom('sandboxes')
      .selectAll()
      .where('host_id', '=', hostId)
      .where('state', '<>', 'destroyed')
      .orderBy('id')
      .forUpdate()
      .execute()
    const reports = new Map(observed.map((report) => [report.id, report]))
    const result: ObservedChanges = { changed: [], stateChanged: false }
    const events: NewEvent[] = []
    for (const row of rows) {
      const next = nextOf(row, reports.get(row.id))
      if (next === undefined || sameAs(row, next)) continue
      const moved = next.state !== row.state
      await updateSandbox(tx, row.id, {
        ...next,
        timings: json(next.timings),
        ...(moved ? { since: now } : {}),
        ...(next.state === 'destroyed' ? { destroyed_at: now } : {}),
      })
      if (moved) events.push(eventOf(row, next))
      result.changed.push({ teamId: row.team_id, agentId: row.agent_id, sandboxId: row.id })
      result.stateChanged ||= moved && !(row.state === 'creating' && next.state === 'running')
    }
    await insertEvents(tx, events)
    return result
  })
}

type Next = Pick<SandboxRow, 'state' | 'step' | 'reason' | 'ready' | 'restarts' | 'observed_generation' | 'timings'>

/** Undefined: nothing to learn from this report. */
function nextOf(row: SandboxRow, report: ObservedSandbox | undefined): Next | undefined {
  const known: Next = {
    state: row.state,
    step: row.step,
    reason: row.reason,
    ready: row.ready,
    restarts: row.restarts,
    observed_generation: row.observed_generation,
    timings: row.timings,
  }
  if (report === undefined) {
    // Its host is back but has not looked at it yet.
    return row.state === 'missing' ? { ...known, state: 'creating', reason: null } : undefined
  }
  // A failure from before the attempt that was asked for since.
  if (report.state === 'error' && report.generation < row.generation) return undefined
  if (report.state === 'destroyed' && row.desired !== 'destroyed')
    return {
      ...known,
      state: 'error',
      step: null,
      ready: false,
      reason: report.reason ?? 'its disk is gone from the host',
    }
  return {
    state: report.state,
    step: report.step,
    // Why it shall rest stays readable, also while reports from before are still coming in.
    reason: report.reason ?? (row.desired === 'stopped' || row.desired === 'paused' ? row.reason : null),
    ready: report.ready,
    restarts: report.restarts,
    observed_generation: report.generation,
    timings: timingsOf(row, report.marks),
  }
}

/** Marks from before the call that is being timed belong to an earlier start. */
function timingsOf(row: SandboxRow, marks: ObservedSandbox['marks']): Timings {
  const since = (instant: string | undefined): number | undefined => {
    const ms = instant === undefined ? -1 : Date.parse(instant) - row.requested_at.getTime()
    return ms < 0 ? undefined : ms
  }
  const { templateAt, createdAt, bootedAt, readyAt } = marks as Record<string, string | undefined>
  const found = {
    templateMs: since(templateAt),
    createdMs: since(createdAt),
    bootedMs: since(bootedAt),
    readyMs: since(readyAt),
  }
  return { ...row.timings, ...Object.fromEntries(Object.entries(found).filter(([, ms]) => ms !== undefined)) }
}

function sameAs(row: SandboxRow, next: Next): boolean {
  return (Object.keys(next) as (keyof Next)[]).every((key) => isDeepStrictEqual(row[key], next[key]))
}

const messages: Partial<Record<SandboxRow['state'], string>> = {
  creating: 'its sandbox is being made',
  running: 'its sandbox runs',
  paused: 'its sandbox is paused',
  stopped: 'its sandbox stopped',
  destroyed: 'its sandbox is gone',
}

function eventOf(row: SandboxRow, next: Next): NewEvent {
  const said =
    row.state === 'missing' ? 'its host answers again' : (messages[next.state] ?? `its sandbox is in ${next.state}`)
  return {
    teamId: row.team_id,
    agentId: row.agent_id,
    sandboxId: row.id,
    kind: `sandbox.${next.state}`,
    message: next.reason === null ? said : `${said}: ${next.reason}`,
    state: next.state,
  }
}
