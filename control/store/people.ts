import { newId } from '../../contract/ids.ts'
import type { PageQuery } from '../../contract/page.ts'
import type { Team, User } from '../../contract/people.ts'
import type { z } from 'zod'
import type { Db, Tx } from './db.ts'
import { after, toPage } from './page.ts'
import type { Page } from './page.ts'

type TeamOf = z.infer<typeof Team>

/** A user with a password and a personal team. Unique violation `users_email_key`: the address is taken. */
export async function insertUser(
  tx: Tx,
  user: { email: string; name: string; role: 'user' | 'operator'; passwordHash: string },
): Promise<{ user: User; teamId: string }> {
  const row = await tx
    .insertInto('users')
    .values({ id: newId('user'), email: user.email.toLowerCase(), name: user.name, role: user.role, image: null })
    .returningAll()
    .executeTakeFirstOrThrow()
  await tx
    .insertInto('accounts')
    .values({
      id: newId('account'),
      user_id: row.id,
      account_id: row.id,
      provider_id: 'credential',
      password: user.passwordHash,
      access_token: null,
      refresh_token: null,
      id_token: null,
      access_token_expires_at: null,
      refresh_token_expires_at: null,
      scope: null,
    })
    .execute()
  const team = await ensurePersonalTeam(tx, row)
  return { user: toUser(row), teamId: team.id }
}

/** The user's personal team, made when there is none; safe to call from several places at once. */
export async function ensurePersonalTeam(db: Db, user: { id: string; name: string }): Promise<TeamOf> {
  await db
    .insertInto('teams')
    .values({ id: newId('team'), name: user.name, personal_user_id: user.id })
    .onConflict((conflict) => conflict.column('personal_user_id').doNothing())
    .execute()
  const team = await db
    .selectFrom('teams')
    .select(['id', 'name'])
    .where('personal_user_id', '=', user.id)
    .executeTakeFirstOrThrow()
  await db
    .insertInto('members')
    .values({ team_id: team.id, user_id: user.id, role: 'owner' })
    .onConflict((conflict) => conflict.columns(['team_id', 'user_id']).doNothing())
    .execute()
  return { ...team, personal: true, role: 'owner' }
}

export async function listTeamsOf(db: Db, userId: string): Promise<TeamOf[]> {
  const rows = await db
    .selectFrom('members')
    .innerJoin('teams', 'teams.id', 'members.team_id')
    .select(['teams.id', 'teams.name', 'teams.personal_user_id', 'members.role'])
    .where('members.user_id', '=', userId)
    .orderBy('teams.created_at')
    .execute()
  return rows.map((row) => ({ id: row.id, name: row.name, personal: row.personal_user_id !== null, role: row.role }))
}

export async function listUsers(db: Db, query: z.output<typeof PageQuery>): Promise<Page<User>> {
  const rows = await db
    .selectFrom('users')
    .selectAll()
    .where(after('created_at', 'id', query.cursor))
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(query.limit + 1)
    .execute()
  return toPage(rows, query.limit, (row) => row.created_at, toUser)
}

export async function findUserByEmail(db: Db, email: string): Promise<User | undefined> {
  const row = await db.selectFrom('users').selectAll().where('email', '=', email.toLowerCase()).executeTakeFirst()
  return row && toUser(row)
}

/** The operator who has been here longest. */
export async function findFirstOperator(db: Db): Promise<User | undefined> {
  const row = await db
    .selectFrom('users')
    .selectAll()
    .where('role', '=', 'operator')
    .orderBy('created_at')
    .orderBy('id')
    .limit(1)
    .executeTakeFirst()
  return row && toUser(row)
}

export function toUser(row: {
  id: string
  email: string
  name: string
  role: 'user' | 'operator'
  created_at: Date
}): User {
  return { id: row.id, email: row.email, name: row.name, role: row.role, createdAt: row.created_at.toISOString() }
}
