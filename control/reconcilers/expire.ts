import type { Db, Tx } from '../store/db.ts'
import { insertEvents } from '../store/events.ts'
import { setDesired } from '../store/sandboxes.ts'
import type { SandboxRow } from '../store/sandboxes.ts'
import type { Wake } from '../wake.ts'

/**
 * Destroys or pauses sandboxes whose time is over. Resolves with the milliseconds until the next one's is, so that it is
 * not noticed late; undefined when none has an end.
 */
export async function expireSandboxes(deps: { db: Db; wake: Wake; clock: () => Date }): Promise<number | undefined> {
  const { db, wake } = deps
  const now = deps.clock()
  const next = await nextExpiry(db)
  if (next === undefined || next > now) return msBetween(now, next)
  const expired = await db.transaction().execute(async (tx) => {
    const rows = await mortal(tx).where('expires_at', '<=', now).orderBy('id').forUpdate().execute()
    const due = rows.filter(canEnd)
    for (const row of due) await end(tx, row)
    await insertEvents(tx, due.map(eventOf))
    return due
  })
  for (const row of expired) wake.changed(row.team_id, { kind: 'sandbox.updated', sandboxId: row.id })
  if (expired.length > 0) {
    wake.host()
    wake.egress()
    wake.gateway()
  }
  return msBetween(now, await nextExpiry(db))
}

function mortal(db: Db | Tx) {
  return db
    .selectFrom('sandboxes')
    .selectAll()
    .where('state', '<>', 'destroyed')
    .where('desired', '<>', 'destroyed')
    .where('expires_at', 'is not', null)
    .where((on) => on.or([on('on_timeout', '=', 'destroy'), on('desired', '=', 'running')]))
}

/** Between two looks at one that is due but cannot end yet. */
const soonestMs = 100

async function nextExpiry(db: Db): Promise<Date | undefined> {
  return (await mortal(db).orderBy('expires_at').limit(1).executeTakeFirst())?.expires_at ?? undefined
}

function msBetween(now: Date, next: Date | undefined): number | undefined {
  return next === undefined ? undefined : Math.max(soonestMs, next.getTime() - now.getTime())
}

/** One that shall pause waits until it runs: what is still being made has no memory to keep. */
const canEnd = (row: SandboxRow): boolean => row.on_timeout === 'destroy' || row.state === 'running'

const reason = 'its time is over'

async function end(tx: Tx, row: SandboxRow): Promise<void> {
  if (row.on_timeout === 'pause') await setDesired(tx, row, 'paused', { reason, expires_at: null })
  else await setDesired(tx, row, 'destroyed', { reason })
}

function eventOf(row: SandboxRow): Parameters<typeof insertEvents>[1][number] {
  const did = row.on_timeout === 'pause' ? 'paused' : 'destroyed'
  return {
    teamId: row.team_id,
    agentId: row.agent_id,
    sandboxId: row.id,
    kind: 'sandbox.expired',
    message: `${did}: its time was until ${row.expires_at?.toISOString()}`,
    state: row.state,
  }
}
