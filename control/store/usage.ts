import { sql } from 'kysely'
import type { Reading } from '../../contract/sync.ts'
import type { Meter } from '../../contract/usage.ts'
import { newUse } from '../../core/metering.ts'
import type { UsageRow } from '../../core/metering.ts'
import type { Db, Tx } from './db.ts'

export type ReadingSource = 'host' | 'egress' | 'gateway'

interface Counter {
  sandbox_id: string
  meter: Meter
  epoch: string
  total: number
}

/**
 * Adds what is new in cumulative readings to the day's usage, in one transaction: counters are locked, compared, raised.
 * A repeat, a late older reading and two copies at once add nothing twice. Readings of sandboxes that never existed
 * here (template builds) are dropped. Answers whether anything was added.
 */
export function addReadings(
  db: Db,
  source: ReadingSource,
  readings: readonly Reading[],
  day: string,
): Promise<boolean> {
  const newest = newestOf(readings)
  if (newest.length === 0) return Promise.resolve(false)
  return db.transaction().execute(async (tx) => {
    const owners = await findOwners(tx, [...new Set(newest.map((reading) => reading.sandbox_id))])
    const ours = newest.filter((reading) => owners.has(reading.sandbox_id))
    if (ours.length === 0) return false
    const known = await lockCounters(tx, source, ours)
    const added = ours
      .map((reading) => ({ ...reading, added: newUse(known.get(keyOf(reading)), reading.total) }))
      .filter((reading) => reading.added > 0)
    if (added.length === 0) return false
    await raiseCounters(tx, source, added)
    await addToDay(tx, day, added, owners)
    return true
  })
}

/** One row per counter, in the order every transaction locks them: two reports at once cannot deadlock. */
function newestOf(readings: readonly Reading[]): Counter[] {
  const byKey = new Map<string, Counter>()
  for (const { sandboxId, meter, epoch, total } of readings) {
    const counter = { sandbox_id: sandboxId, meter, epoch, total }
    const before = byKey.get(keyOf(counter))
    if (before === undefined || before.total < total) byKey.set(keyOf(counter), counter)
  }
  return [...byKey].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, counter]) => counter)
}

const keyOf = (counter: Omit<Counter, 'total'>): string => `${counter.sandbox_id} ${counter.meter} ${counter.epoch}`

interface Owner {
  team_id: string
  agent_id: string | null
}

async function findOwners(tx: Tx, sandboxIds: string[]): Promise<Map<string, Owner>> {
  const rows = await tx
    .selectFrom('sandboxes')
    .select(['id', 'team_id', 'agent_id'])
    .where('id', 'in', sandboxIds)
    .execute()
  return new Map(rows.map((row) => [row.id, row]))
}

async function lockCounters(tx: Tx, source: string, counters: readonly Counter[]): Promise<Map<string, number>> {
  await tx
    .insertInto('usage_counters')
    .values(counters.map((counter) => ({ source, ...counter, total: 0 })))
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  const { sandboxes, meters, epochs } = columns(counters)
  const { rows } = await sql<Counter>`
    select c.sandbox_id, c.meter, c.epoch, c.total from usage_counters c
    join unnest(${sandboxes}::text[], ${meters}::text[], ${epochs}::text[]) as r(sandbox_id, meter, epoch)
      using (sandbox_id, meter, epoch)
    where c.source = ${source}
    order by c.sandbox_id, c.meter, c.epoch
    for update of c`.execute(tx)
  return new Map(rows.map((row) => [keyOf(row), row.total]))
}

async function raiseCounters(tx: Tx, source: string, counters: readonly Counter[]): Promise<void> {
  const { sandboxes, meters, epochs } = columns(counters)
  await sql`
    update usage_counters c set total = r.total, updated_at = now()
    from unnest(${sandboxes}::text[], ${meters}::text[], ${epochs}::text[], ${counters.map((c) => c.total)}::bigint[])
      as r(sandbox_id, meter, epoch, total)
    where c.source = ${source}
      and c.sandbox_id = r.sandbox_id and c.meter = r.meter and c.epoch = r.epoch`.execute(tx)
}

async function addToDay(
  tx: Tx,
  day: string,
  counters: readonly (Counter & { added: number })[],
  owners: ReadonlyMap<string, Owner>,
): Promise<void> {
  const sums = new Map<string, { sandbox_id: string; meter: Meter; total: number }>()
  for (const { sandbox_id, meter, added } of counters) {
    const key = `${sandbox_id} ${meter}`
    const sum = sums.get(key) ?? { sandbox_id, meter, total: 0 }
    sum.total += added
    sums.set(key, sum)
  }
  const rows = [...sums.values()].flatMap((sum) => {
    const owner = owners.get(sum.sandbox_id)
    return owner === undefined ? [] : [{ day, team_id: owner.team_id, agent_id: owner.agent_id, ...sum }]
  })
  await tx
    .insertInto('usage_days')
    .values(rows)
    .onConflict((conflict) =>
      conflict.columns(['day', 'sandbox_id', 'meter']).doUpdateSet({
        total: sql<number>`usage_days.total + excluded.total`,
      }),
    )
    .execute()
}

function columns(counters: readonly Counter[]): { sandboxes: string[]; meters: string[]; epochs: string[] } {
  return {
    sandboxes: counters.map((counter) => counter.sandbox_id),
    meters: counters.map((counter) => counter.meter),
    epochs: counters.map((counter) => counter.epoch),
  }
}

/** Totals per day and meter of a team, or of one of its agents; `from` and `to` are days, `to` exclusive. */
export async function usageOf(
  db: Db,
  of: { teamId: string; agentId: string | null },
  from: string,
  to: string,
): Promise<UsageRow[]> {
  let query = db
    .selectFrom('usage_days')
    .select(['day', 'meter', sql<number>`sum(total)`.as('total')])
    .where('team_id', '=', of.teamId)
    .where('day', '>=', from)
    .where('day', '<', to)
    .groupBy(['day', 'meter'])
  if (of.agentId !== null) query = query.where('agent_id', '=', of.agentId)
  return query.execute()
}

/** Bytes of the meters that count against the bandwidth, per team, for teams that have any. */
export async function bandwidthByTeam(db: Db, from: string, to: string): Promise<Map<string, number>> {
  const rows = await db
    .selectFrom('usage_days')
    .select(['team_id', sql<number>`sum(total)`.as('total')])
    .where('day', '>=', from)
    .where('day', '<', to)
    .where('meter', 'in', ['egress_in_bytes', 'egress_out_bytes', 'gateway_in_bytes', 'gateway_out_bytes'])
    .groupBy('team_id')
    .execute()
  return new Map(rows.map((row) => [row.team_id, row.total]))
}

/** Forgets counters of sandboxes that are gone for so long that no report about them can still arrive. */
export async function removeOldCounters(db: Db): Promise<void> {
  await sql`
    delete from usage_counters c using sandboxes s
    where s.id = c.sandbox_id and s.state = 'destroyed' and s.destroyed_at < now() - interval '40 days'`.execute(db)
}
