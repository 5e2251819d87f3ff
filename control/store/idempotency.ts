import { sql } from 'kysely'
import type { SealedSecret } from '../../contract/sync.ts'
import type { ReplyStore } from '../../lib/replies.ts'
import { seal, unseal } from '../seal.ts'
import { json } from './db.ts'
import type { Db } from './db.ts'

/** After this long without an end, the process that had claimed the key is taken for dead. */
const abandonedAfter = sql`interval '10 minutes'`
const kept = sql`interval '24 hours'`

/**
 * Replies to writes for 24 hours, per caller and key. They are sealed under the master key: the answer that creates an API
 * key holds that key, and the database must never.
 */
export function idempotentReplies<C>(deps: {
  db: Db
  masterKey: Buffer
  nameOf: (caller: C) => string
}): ReplyStore<C> {
  const { db, masterKey, nameOf } = deps
  const context = (caller: string, key: string): string => `slopbox/reply/v1 ${caller} ${key}`
  return {
    async begin(who, key, requestHash) {
      const caller = nameOf(who)
      const claimed = await db
        .insertInto('idempotency_keys')
        .values({ caller, key, request_hash: requestHash, status: null, reply: json(null) })
        .onConflict((conflict) =>
          conflict
            .columns(['caller', 'key'])
            .doUpdateSet({ request_hash: requestHash, status: null, reply: json(null), created_at: new Date() })
            .where(
              sql<boolean>`idempotency_keys.created_at < now() - ${kept} or
                (idempotency_keys.status is null and idempotency_keys.created_at < now() - ${abandonedAfter})`,
            ),
        )
        .returning('key')
        .executeTakeFirst()
      if (claimed !== undefined) return { is: 'new' }
      const row = await db
        .selectFrom('idempotency_keys')
        .selectAll()
        .where('caller', '=', caller)
        .where('key', '=', key)
        .executeTakeFirst()
      if (row === undefined) return { is: 'busy' }
      if (row.request_hash !== requestHash) return { is: 'other' }
      if (row.status === null || row.reply === null) return { is: 'busy' }
      const reply: unknown = JSON.parse(unseal(masterKey, context(caller, key), row.reply as SealedSecret))
      return { is: 'done', status: row.status, reply }
    },
    async finish(who, key, status, reply) {
      const caller = nameOf(who)
      await db
        .updateTable('idempotency_keys')
        .set({ status, reply: json(seal(masterKey, context(caller, key), JSON.stringify(reply))) })
        .where('caller', '=', caller)
        .where('key', '=', key)
        .execute()
    },
    async release(who, key) {
      await db.deleteFrom('idempotency_keys').where('caller', '=', nameOf(who)).where('key', '=', key).execute()
    },
  }
}
