import { sql } from 'kysely'
import type { AuditRecord, listAudit } from '../../contract/egress.ts'
import type { Input } from '../../contract/route.ts'
import { newId } from '../../contract/ids.ts'
import type { Db } from './db.ts'
import { json } from './db.ts'
import { after, toPage } from './page.ts'
import type { Page } from './page.ts'

/** Stores records once: one that is there already, by its id, is left as it is. */
export async function insertAudit(
  db: Db,
  records: readonly { record: AuditRecord; teamId: string | null }[],
): Promise<void> {
  if (records.length === 0) return
  await db
    .insertInto('audit')
    .values(
      records.map(({ record, teamId }) => ({
        id: record.id,
        at: new Date(record.at),
        team_id: teamId,
        source: record.source,
        kind: record.kind,
        decision: record.decision,
        reason: record.reason,
        rule: record.rule,
        agent_id: record.agentId,
        sandbox_id: record.sandboxId,
        user_id: record.userId,
        actor: record.actor,
        method: record.method,
        host: record.host,
        port: record.port,
        path: record.path,
        status: record.status,
        bytes_out: record.bytesOut,
        bytes_in: record.bytesIn,
        duration_ms: record.durationMs,
        detail: json(record.detail),
      })),
    )
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute()
}

/** Who did an administrative act; `team` null: it concerns the installation, not one team. */
export interface Actor {
  userId: string | null
  actor: string | null
  teamId: string | null
}

/**
 * Writes that a person changed something, in the transaction that changes it. `action` is the operation's id; `detail`
 * names what was changed and never holds a secret's value.
 */
export async function auditAct(
  db: Db,
  who: Actor,
  action: string,
  detail: AuditRecord['detail'],
  about: { agentId?: string | null; sandboxId?: string | null } = {},
): Promise<void> {
  const record: AuditRecord = {
    id: newId('audit'),
    at: new Date().toISOString(),
    source: 'control',
    kind: 'admin',
    decision: 'allow',
    reason: null,
    rule: null,
    agentId: about.agentId ?? null,
    sandboxId: about.sandboxId ?? null,
    userId: who.userId,
    actor: who.actor,
    method: action,
    host: null,
    port: null,
    path: null,
    status: null,
    bytesOut: 0,
    bytesIn: 0,
    durationMs: 0,
    detail,
  }
  await insertAudit(db, [{ record, teamId: who.teamId }])
}

/** A team's records; with `installation` also those that belong to no team. */
export async function findAudit(
  db: Db,
  who: { teamId: string; installation: boolean },
  query: Input<typeof listAudit>['query'],
): Promise<Page<AuditRecord>> {
  let select = db
    .selectFrom('audit')
    .selectAll()
    .where((eb) =>
      who.installation
        ? eb.or([eb('team_id', '=', who.teamId), eb('team_id', 'is', null)])
        : eb('team_id', '=', who.teamId),
    )
    .where(after('at', 'id', query.cursor))
  if (query.agentId !== undefined) select = select.where('agent_id', '=', query.agentId)
  if (query.sandboxId !== undefined) select = select.where('sandbox_id', '=', query.sandboxId)
  if (query.decision !== undefined) select = select.where('decision', '=', query.decision)
  if (query.host !== undefined) select = select.where(sql<string>`lower(host)`, '=', query.host.toLowerCase())
  const rows = await select
    .orderBy('at', 'desc')
    .orderBy('id', 'desc')
    .limit(query.limit + 1)
    .execute()
  return toPage(
    rows,
    query.limit,
    (row) => row.at,
    (row): AuditRecord => ({
      id: row.id,
      at: row.at.toISOString(),
      source: row.source,
      kind: row.kind,
      decision: row.decision,
      reason: row.reason,
      rule: row.rule,
      agentId: row.agent_id,
      sandboxId: row.sandbox_id,
      userId: row.user_id,
      actor: row.actor,
      method: row.method,
      host: row.host,
      port: row.port,
      path: row.path,
      status: row.status,
      bytesOut: row.bytes_out,
      bytesIn: row.bytes_in,
      durationMs: row.duration_ms,
      detail: row.detail,
    }),
  )
}
