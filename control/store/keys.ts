import type { z } from 'zod'
import type { PageQuery } from '../../contract/page.ts'
import type { ApiKey } from '../../contract/people.ts'
import type { Db, Tx } from './db.ts'
import { after, toPage } from './page.ts'
import type { Page } from './page.ts'

const columns = ['id', 'name', 'start', 'service', 'created_at', 'last_used_at', 'expires_at'] as const

export async function insertKey(
  tx: Tx,
  key: {
    id: string
    teamId: string
    userId: string
    name: string
    start: string
    hash: string
    service: boolean
    expiresAt: Date | null
  },
): Promise<ApiKey> {
  const row = await tx
    .insertInto('api_keys')
    .values({
      id: key.id,
      team_id: key.teamId,
      user_id: key.userId,
      name: key.name,
      start: key.start,
      hash: key.hash,
      service: key.service,
      last_used_at: null,
      expires_at: key.expiresAt,
    })
    .returning(columns)
    .executeTakeFirstOrThrow()
  return toKey(row)
}

export async function listKeys(db: Db, teamId: string, query: z.output<typeof PageQuery>): Promise<Page<ApiKey>> {
  const rows = await db
    .selectFrom('api_keys')
    .select(columns)
    .where('team_id', '=', teamId)
    .where(after('created_at', 'id', query.cursor))
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(query.limit + 1)
    .execute()
  return toPage(rows, query.limit, (row) => row.created_at, toKey)
}

/** The name of the key that was removed; undefined when the team has none of this id. */
export async function removeKey(tx: Tx, teamId: string, id: string): Promise<string | undefined> {
  const row = await tx
    .deleteFrom('api_keys')
    .where('team_id', '=', teamId)
    .where('id', '=', id)
    .returning('name')
    .executeTakeFirst()
  return row?.name
}

function toKey(row: {
  id: string
  name: string
  start: string
  service: boolean
  created_at: Date
  last_used_at: Date | null
  expires_at: Date | null
}): ApiKey {
  return {
    id: row.id,
    name: row.name,
    start: row.start,
    service: row.service,
    createdAt: row.created_at.toISOString(),
    lastUsedAt: row.last_used_at?.toISOString() ?? null,
    expiresAt: row.expires_at?.toISOString() ?? null,
  }
}
