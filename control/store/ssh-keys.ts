import { sql } from 'kysely'
import type { SshKey } from '../../contract/ssh-keys.ts'
import type { Db, Tx } from './db.ts'
import { after, toPage } from './page.ts'
import type { Page, Paging } from './page.ts'

const columns = ['id', 'name', 'type', 'fingerprint', 'created_at', 'last_used_at'] as const

export async function insertSshKey(
  tx: Tx,
  key: { id: string; userId: string; name: string; type: string; fingerprint: string },
): Promise<SshKey> {
  const row = await tx
    .insertInto('ssh_keys')
    .values({
      id: key.id,
      user_id: key.userId,
      name: key.name,
      type: key.type,
      fingerprint: key.fingerprint,
      last_used_at: null,
    })
    .returning(columns)
    .executeTakeFirstOrThrow()
  return toSshKey(row)
}

export async function listSshKeys(db: Db, userId: string, query: Paging): Promise<Page<SshKey>> {
  const rows = await db
    .selectFrom('ssh_keys')
    .select(columns)
    .where('user_id', '=', userId)
    .where(after('created_at', 'id', query.cursor))
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(query.limit + 1)
    .execute()
  return toPage(rows, query.limit, (row) => row.created_at, toSshKey)
}

/** The name of the key that was removed; undefined when the person has none of this id. */
export async function removeSshKey(tx: Tx, userId: string, id: string): Promise<string | undefined> {
  const row = await tx
    .deleteFrom('ssh_keys')
    .where('user_id', '=', userId)
    .where('id', '=', id)
    .returning('name')
    .executeTakeFirst()
  return row?.name
}

/** A person's registered key, in one of his teams. */
export interface SshHolder {
  keyId: string
  userId: string
  teamId: string
}

/** Everybody who registered the key, in every team he belongs to: what he names decides which it is. */
export async function findSshHolders(db: Db, fingerprint: string): Promise<SshHolder[]> {
  return await db
    .selectFrom('ssh_keys')
    .innerJoin('members', 'members.user_id', 'ssh_keys.user_id')
    .select(['ssh_keys.id as keyId', 'ssh_keys.user_id as userId', 'members.team_id as teamId'])
    .where('ssh_keys.fingerprint', '=', fingerprint)
    .orderBy('ssh_keys.created_at')
    .orderBy('ssh_keys.id')
    .limit(1000)
    .execute()
}

/** Notes the use of a key, at most once a minute. */
export async function touchSshKey(db: Db, id: string): Promise<void> {
  await db
    .updateTable('ssh_keys')
    .set({ last_used_at: new Date() })
    .where('id', '=', id)
    .where(sql<boolean>`(last_used_at is null or last_used_at < now() - interval '1 minute')`)
    .execute()
}

function toSshKey(row: {
  id: string
  name: string
  type: string
  fingerprint: string
  created_at: Date
  last_used_at: Date | null
}): SshKey {
  return {
    id: row.id,
    name: row.name,
    type: row.type,
    fingerprint: row.fingerprint,
    createdAt: row.created_at.toISOString(),
    lastUsedAt: row.last_used_at?.toISOString() ?? null,
  }
}
