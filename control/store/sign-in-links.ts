import { sql } from 'kysely'
import type { User } from '../../contract/people.ts'
import type { Db } from './db.ts'
import { toUser } from './people.ts'

export async function insertSignInLink(
  db: Db,
  link: { tokenHash: string; userId: string; expiresAt: Date },
): Promise<void> {
  await db
    .insertInto('sign_in_links')
    .values({ token_hash: link.tokenHash, user_id: link.userId, expires_at: link.expiresAt, used_at: null })
    .execute()
}

/** Uses the link up; undefined when it is unknown, used or expired. One statement, so that two who try at once do not both get in. */
export async function redeemSignInLink(db: Db, tokenHash: string): Promise<User | undefined> {
  const used = await db
    .updateTable('sign_in_links')
    .set({ used_at: new Date() })
    .where('token_hash', '=', tokenHash)
    .where('used_at', 'is', null)
    .where('expires_at', '>', sql<Date>`now()`)
    .returning('user_id')
    .executeTakeFirst()
  if (used === undefined) return undefined
  return toUser(await db.selectFrom('users').selectAll().where('id', '=', used.user_id).executeTakeFirstOrThrow())
}
