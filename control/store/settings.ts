import { Settings } from '../../contract/people.ts'
import type { Db, Tx } from './db.ts'
import { json } from './db.ts'

export async function readSettings(db: Db): Promise<Settings> {
  const row = await db.selectFrom('settings').select('value').executeTakeFirstOrThrow()
  return Settings.parse(row.value)
}

/** Merges the given fields under a row lock, so that two operators' changes to different fields both stay. */
export async function changeSettings(tx: Tx, change: Partial<Settings>): Promise<Settings> {
  const row = await tx.selectFrom('settings').select('value').forUpdate().executeTakeFirstOrThrow()
  const value = Settings.parse({ ...row.value, ...change })
  await tx
    .updateTable('settings')
    .set({ value: json(value), updated_at: new Date() })
    .execute()
  return value
}
