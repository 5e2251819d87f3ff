import type { Selectable } from 'kysely'
import { newId } from '../../contract/ids.ts'
import { json } from './db.ts'
import type { Db } from './db.ts'
import type { HostsTable } from './schema.ts'

export type HostRow = Selectable<HostsTable>
export type HostReport = Pick<HostRow, 'name' | 'version' | 'drivers' | 'capacity' | 'registries'>

/** A host introduces itself by name; the same name is the same host. */
export async function upsertHost(db: Db, report: HostReport, now: Date): Promise<HostRow> {
  const values = {
    name: report.name,
    version: report.version,
    drivers: json(report.drivers),
    capacity: json(report.capacity),
    registries: json(report.registries),
    last_seen_at: now,
  }
  return db
    .insertInto('hosts')
    .values({ id: newId('host'), ...values })
    .onConflict((conflict) => conflict.column('name').doUpdateSet(values))
    .returningAll()
    .executeTakeFirstOrThrow()
}

export function listHosts(db: Db): Promise<HostRow[]> {
  return db.selectFrom('hosts').selectAll().orderBy('name').execute()
}
