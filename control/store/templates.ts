import { isDeepStrictEqual } from 'node:util'
import type { Selectable } from 'kysely'
import { sql } from 'kysely'
import { newId } from '../../contract/ids.ts'
import type { ObservedTemplate } from '../../contract/sync.ts'
import type { z } from 'zod'
import { json } from './db.ts'
import type { Db, Tx } from './db.ts'
import type { TemplateBuildsTable, TemplatesTable } from './schema.ts'

export type TemplateRow = Selectable<TemplatesTable>
export type BuildRow = Selectable<TemplateBuildsTable>

/** Brings the table in line with the built-in definitions. */
export async function declareTemplates(
  db: Db,
  templates: readonly { name: string; description: string; key: string; wanted: boolean }[],
): Promise<void> {
  for (const { name, description, key, wanted } of templates) {
    await db
      .insertInto('templates')
      .values({ name, description, key, wanted })
      .onConflict((conflict) =>
        conflict.column('name').doUpdateSet({ description, key, wanted, updated_at: new Date() }),
      )
      .execute()
  }
}

export function listTemplates(db: Db): Promise<TemplateRow[]> {
  return db.selectFrom('templates').selectAll().orderBy('name').execute()
}

export function listBuilds(db: Db | Tx, keys: readonly string[]): Promise<BuildRow[]> {
  if (keys.length === 0) return Promise.resolve([])
  return db.selectFrom('template_builds').selectAll().where('key', 'in', keys).execute()
}

/** Gives every template an identity for its build on this host; one that has it already keeps it. */
export async function ensureBuilds(
  db: Db,
  hostId: string,
  templates: readonly { name: string; key: string }[],
): Promise<Map<string, BuildRow>> {
  const load = async (): Promise<BuildRow[]> =>
    db.selectFrom('template_builds').selectAll().where('host_id', '=', hostId).execute()
  let rows = await load()
  const missing = templates.filter((template) => !rows.some((row) => row.key === template.key))
  if (missing.length > 0) {
    await db
      .insertInto('template_builds')
      .values(
        missing.map(({ name, key }) => ({
          id: newId('build'),
          host_id: hostId,
          key,
          name,
          state: 'absent' as const,
          reason: null,
          progress: json(null),
          size_bytes: null,
          built_at: null,
        })),
      )
      .onConflict((conflict) => conflict.columns(['host_id', 'key']).doNothing())
      .execute()
    rows = await load()
  }
  return new Map(rows.map((row) => [row.key, row]))
}

/** Stores what a host says about a template. Answers whether its state changed. */
export async function storeObservedTemplate(
  db: Db,
  hostId: string,
  observed: z.infer<typeof ObservedTemplate>,
): Promise<boolean> {
  const before = await db
    .selectFrom('template_builds')
    .select(['id', 'state', 'reason', 'progress', 'size_bytes'])
    .where('host_id', '=', hostId)
    .where('key', '=', observed.key)
    .executeTakeFirst()
  if (before === undefined) return false
  const same =
    before.state === observed.state &&
    before.reason === observed.reason &&
    before.size_bytes === observed.sizeBytes &&
    isDeepStrictEqual(before.progress, observed.progress)
  if (same) return false
  await db
    .updateTable('template_builds')
    .set({
      state: observed.state,
      reason: observed.reason,
      progress: json(observed.progress),
      size_bytes: observed.sizeBytes,
      ...(observed.state === 'ready' && before.state !== 'ready' ? { built_at: sql<Date>`now()` } : {}),
      updated_at: sql<Date>`now()`,
    })
    .where('id', '=', before.id)
    .execute()
  return before.state !== observed.state
}

/** Asks every host for another try: a new identity is a new build. Builds that succeeded or run are left alone. */
export async function retryBuilds(db: Db, key: string): Promise<void> {
  const failed = await db
    .selectFrom('template_builds')
    .select('id')
    .where('key', '=', key)
    .where('state', '=', 'failed')
    .execute()
  for (const { id } of failed) {
    await db
      .updateTable('template_builds')
      .set({
        id: newId('build'),
        state: 'absent',
        reason: null,
        progress: json(null),
        attempt: sql<number>`attempt + 1`,
        updated_at: sql<Date>`now()`,
      })
      .where('id', '=', id)
      .where('state', '=', 'failed')
      .execute()
  }
}
