import { sql } from 'kysely'
import type { Db } from './db.ts'

/** A user, the team he acts for, and what he came in with. The team is null while his personal one is not made yet. */
export interface CallerRow {
  user_id: string
  user_email: string
  user_name: string
  user_role: 'user' | 'operator'
  user_created_at: Date
  team_id: string | null
  team_name: string | null
  team_personal: boolean
  team_role: 'owner' | 'admin' | 'member' | null
  session_id: string | null
}

export interface KeyCallerRow extends CallerRow {
  key_id: string
  key_name: string
  key_service: boolean
  key_last_used_at: Date | null
}

const users = (db: Db) =>
  db
    .selectFrom('users')
    .leftJoin('teams', 'teams.personal_user_id', 'users.id')
    .leftJoin('members', (join) =>
      join.onRef('members.team_id', '=', 'teams.id').onRef('members.user_id', '=', 'users.id'),
    )
    .select([
      'users.id as user_id',
      'users.email as user_email',
      'users.name as user_name',
      'users.role as user_role',
      'users.created_at as user_created_at',
      'teams.id as team_id',
      'teams.name as team_name',
      sql<boolean>`true`.as('team_personal'),
      'members.role as team_role',
    ])

export async function findCallerByUser(db: Db, userId: string): Promise<CallerRow | undefined> {
  return await users(db)
    .select(sql<string | null>`null`.as('session_id'))
    .where('users.id', '=', userId)
    .executeTakeFirst()
}

export async function findCallerByToken(db: Db, token: string): Promise<CallerRow | undefined> {
  return await users(db)
    .innerJoin('sessions', 'sessions.user_id', 'users.id')
    .select('sessions.id as session_id')
    .where('sessions.token', '=', token)
    .where('sessions.expires_at', '>', sql<Date>`now()`)
    .executeTakeFirst()
}

export async function findCallerBySession(db: Db, sessionId: string): Promise<CallerRow | undefined> {
  return await users(db)
    .innerJoin('sessions', 'sessions.user_id', 'users.id')
    .select('sessions.id as session_id')
    .where('sessions.id', '=', sessionId)
    .where('sessions.expires_at', '>', sql<Date>`now()`)
    .executeTakeFirst()
}

export async function findCallerByKey(db: Db, hash: string): Promise<KeyCallerRow | undefined> {
  return await db
    .selectFrom('api_keys')
    .innerJoin('users', 'users.id', 'api_keys.user_id')
    .innerJoin('teams', 'teams.id', 'api_keys.team_id')
    .innerJoin('members', (join) =>
      join.onRef('members.team_id', '=', 'api_keys.team_id').onRef('members.user_id', '=', 'api_keys.user_id'),
    )
    .select([
      'users.id as user_id',
      'users.email as user_email',
      'users.name as user_name',
      'users.role as user_role',
      'users.created_at as user_created_at',
      'teams.id as team_id',
      'teams.name as team_name',
      sql<boolean>`teams.personal_user_id is not null`.as('team_personal'),
      'members.role as team_role',
      sql<string | null>`null`.as('session_id'),
      'api_keys.id as key_id',
      'api_keys.name as key_name',
      'api_keys.service as key_service',
      'api_keys.last_used_at as key_last_used_at',
    ])
    .where('api_keys.hash', '=', hash)
    .where((eb) => eb.or([eb('api_keys.expires_at', 'is', null), eb('api_keys.expires_at', '>', sql<Date>`now()`)]))
    .executeTakeFirst()
}

/** Notes the use of a key, at most once a minute: a busy key must not write a row per request. */
export async function touchKey(db: Db, id: string, lastUsedAt: Date | null): Promise<void> {
  if (lastUsedAt !== null && Date.now() - lastUsedAt.getTime() < 60_000) return
  await db.updateTable('api_keys').set({ last_used_at: new Date() }).where('id', '=', id).execute()
}
