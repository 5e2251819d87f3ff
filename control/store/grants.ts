import { sql } from 'kysely'
import { newId } from '../../contract/ids.ts'
import type { Db } from './db.ts'

export interface GrantFor {
  teamId: string
  userId: string
  sessionId: string | null
  keyId: string | null
  sshKeyId: string | null
  agentId: string | null
  sandboxId: string
}

/**
 * A right somebody has at the gateway, kept in the database so that it outlives this process. The same person asking for
 * the same thing in the same session gets the same grant.
 */
export async function ensureGrant(db: Db, grant: GrantFor): Promise<string> {
  const same = await db
    .selectFrom('grants')
    .select('id')
    .where('sandbox_id', '=', grant.sandboxId)
    .where('user_id', '=', grant.userId)
    .where('team_id', '=', grant.teamId)
    .where(sql<boolean>`session_id is not distinct from ${grant.sessionId}`)
    .where(sql<boolean>`key_id is not distinct from ${grant.keyId}`)
    .where(sql<boolean>`ssh_key_id is not distinct from ${grant.sshKeyId}`)
    .limit(1)
    .executeTakeFirst()
  if (same !== undefined) return same.id
  const id = newId('grant')
  await db
    .insertInto('grants')
    .values({
      id,
      team_id: grant.teamId,
      user_id: grant.userId,
      session_id: grant.sessionId,
      key_id: grant.keyId,
      ssh_key_id: grant.sshKeyId,
      agent_id: grant.agentId,
      sandbox_id: grant.sandboxId,
    })
    .execute()
  return id
}

/**
 * Which of these have ended: session over, API or SSH key revoked or expired, membership lost (their rows take the grant's along),
 * or the sandbox neither lives nor shall live. What is open into a paused one goes on when it does.
 */
export async function endedGrants(db: Db, ids: readonly string[]): Promise<string[]> {
  if (ids.length === 0) return []
  const { rows } = await sql<{ id: string }>`
    select g.id from grants g
    join sandboxes b on b.id = g.sandbox_id and b.state in ('running', 'paused') and b.desired in ('running', 'paused')
    left join sessions s on s.id = g.session_id
    left join api_keys k on k.id = g.key_id
    where g.id = any(${[...ids]}::text[])
      and (g.session_id is null or s.expires_at > now())
      and (k.expires_at is null or k.expires_at > now())`.execute(db)
  const living = new Set(rows.map((row) => row.id))
  return [...new Set(ids)].filter((id) => !living.has(id)).toSorted()
}
