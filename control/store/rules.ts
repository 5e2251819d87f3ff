import type { EgressRule, listRules as listRulesRoute } from '../../contract/egress.ts'
import { newId } from '../../contract/ids.ts'
import type { Input } from '../../contract/route.ts'
import { isUniqueViolation } from './db.ts'
import type { Db, Tx } from './db.ts'
import { after, toPage } from './page.ts'
import type { Page } from './page.ts'

export interface NewRule {
  scope: EgressRule['scope']
  /** null for scope `global` only. */
  teamId: string | null
  agentId: string | null
  sandboxId: string | null
  /** Canonical: see `canonicalPattern`. */
  host: string
  port: number | null
  note: string
  createdBy: string | null
}

/** Undefined when there is one for the same scope, host and port; the transaction then has to be given up. */
export async function insertRule(tx: Db | Tx, rule: NewRule): Promise<EgressRule | undefined> {
  try {
    const row = await tx
      .insertInto('egress_rules')
      .values({
        id: newId('rule'),
        scope: rule.scope,
        team_id: rule.teamId,
        agent_id: rule.agentId,
        sandbox_id: rule.sandboxId,
        host: rule.host,
        port: rule.port,
        note: rule.note,
        created_by: rule.createdBy,
      })
      .returningAll()
      .executeTakeFirstOrThrow()
    return toRule(row)
  } catch (error) {
    if (isUniqueViolation(error)) return undefined
    throw error
  }
}

/** Rules for everybody and the team's own; for one agent, only those that apply to it and its sandbox. */
export async function listRules(
  db: Db,
  teamId: string,
  query: Input<typeof listRulesRoute>['query'],
): Promise<Page<EgressRule>> {
  const rows = await applying(db, teamId, query.agentId)
    .where(after('created_at', 'id', query.cursor))
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(query.limit + 1)
    .execute()
  return toPage(rows, query.limit, (row) => row.created_at, toRule)
}

/** Every rule that applies to an agent. */
export async function rulesOfAgent(db: Db, teamId: string, agentId: string): Promise<EgressRule[]> {
  return (await applying(db, teamId, agentId).orderBy('id').execute()).map(toRule)
}

/** A rule the team may see: its own, or a global one. */
export async function findRule(
  db: Db | Tx,
  teamId: string,
  id: string,
): Promise<(EgressRule & { sandboxId: string | null }) | undefined> {
  const row = await db
    .selectFrom('egress_rules')
    .selectAll()
    .where('id', '=', id)
    .where((eb) => eb.or([eb('team_id', '=', teamId), eb('scope', '=', 'global')]))
    .executeTakeFirst()
  return row && { ...toRule(row), sandboxId: row.sandbox_id }
}

/** False when somebody else has removed it already. */
export async function removeRule(tx: Tx, id: string): Promise<boolean> {
  const { numDeletedRows } = await tx.deleteFrom('egress_rules').where('id', '=', id).executeTakeFirstOrThrow()
  return numDeletedRows > 0n
}

const applying = (db: Db, teamId: string, agentId: string | undefined) => {
  const ofTeam = db
    .selectFrom('egress_rules')
    .selectAll()
    .where((eb) => eb.or([eb('team_id', '=', teamId), eb('scope', '=', 'global')]))
  if (agentId === undefined) return ofTeam
  return ofTeam.where((eb) =>
    eb.or([
      eb('scope', 'in', ['global', 'team']),
      eb('agent_id', '=', agentId),
      eb('sandbox_id', 'in', eb.selectFrom('sandboxes').select('id').where('agent_id', '=', agentId)),
    ]),
  )
}

function toRule(row: {
  id: string
  scope: EgressRule['scope']
  agent_id: string | null
  host: string
  port: number | null
  note: string
  created_at: Date
}): EgressRule {
  return {
    id: row.id,
    scope: row.scope,
    agentId: row.agent_id,
    host: row.host,
    port: row.port,
    note: row.note,
    createdAt: row.created_at.toISOString(),
  }
}
