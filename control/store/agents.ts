import type { Selectable, Updateable } from 'kysely'
import { isUniqueViolation, json } from './db.ts'
import type { Db, Tx } from './db.ts'
import { after } from './page.ts'
import type { Paging } from './page.ts'
import type { AgentsTable, SandboxesTable } from './schema.ts'

export type AgentRow = Selectable<AgentsTable>
export type SandboxRow = Selectable<SandboxesTable>
/** An agent with its living sandbox. */
export interface AgentWithSandbox {
  agent: AgentRow
  sandbox: SandboxRow | null
}

export type NewAgent = Pick<
  AgentRow,
  'id' | 'team_id' | 'created_by' | 'name' | 'runtime' | 'personality' | 'model' | 'size' | 'volume_id'
>

/** False when another agent of the team has the name. Runs inside a transaction that then has to be given up. */
export async function insertAgent(tx: Tx, agent: NewAgent): Promise<boolean> {
  return await unlessTaken(() =>
    tx
      .insertInto('agents')
      .values({
        ...agent,
        personality: json(agent.personality),
        model: json(agent.model),
        size: json(agent.size),
        volume_host_id: null,
        proxy_token_hash: null,
        proxy_token_at: null,
        deleted_at: null,
      })
      .execute(),
  )
}

export type AgentChange = Partial<Pick<AgentRow, 'name' | 'personality' | 'model' | 'files'>>

/** False when another agent of the team has the name. */
export async function updateAgent(tx: Tx, id: string, change: AgentChange): Promise<boolean> {
  const set: Updateable<AgentsTable> = { updated_at: new Date() }
  if (change.name !== undefined) set.name = change.name
  if (change.personality !== undefined) set.personality = json(change.personality)
  if (change.model !== undefined) set.model = json(change.model)
  if (change.files !== undefined) set.files = json(change.files)
  return await unlessTaken(() => tx.updateTable('agents').set(set).where('id', '=', id).execute())
}

async function unlessTaken(run: () => Promise<unknown>): Promise<boolean> {
  try {
    await run()
    return true
  } catch (error) {
    if (isUniqueViolation(error, 'agents_name')) return false
    throw error
  }
}

/** The team's agent, locked until the transaction ends so that two actions on it follow one another. */
export async function lockAgent(tx: Tx, teamId: string, id: string): Promise<AgentWithSandbox | undefined> {
  const agent = await tx
    .selectFrom('agents')
    .selectAll()
    .where('id', '=', id)
    .where('team_id', '=', teamId)
    .forUpdate()
    .executeTakeFirst()
  if (agent === undefined) return undefined
  const sandbox = await tx
    .selectFrom('sandboxes')
    .selectAll()
    .where('agent_id', '=', id)
    .where('state', '<>', 'destroyed')
    .forUpdate()
    .executeTakeFirst()
  return { agent, sandbox: sandbox ?? null }
}

export async function findAgent(db: Db | Tx, teamId: string, id: string): Promise<AgentWithSandbox | undefined> {
  const agent = await db
    .selectFrom('agents')
    .selectAll()
    .where('id', '=', id)
    .where('team_id', '=', teamId)
    .executeTakeFirst()
  return agent === undefined ? undefined : (await withSandboxes(db, [agent]))[0]
}

/** Newest first; one row more than the page holds, for `toPage`. */
export async function listAgents(db: Db, teamId: string, page: Paging): Promise<AgentWithSandbox[]> {
  let query = db
    .selectFrom('agents')
    .selectAll()
    .where('team_id', '=', teamId)
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(page.limit + 1)
  query = query.where(after('created_at', 'id', page.cursor))
  return withSandboxes(db, await query.execute())
}

async function withSandboxes(db: Db | Tx, agents: AgentRow[]): Promise<AgentWithSandbox[]> {
  if (agents.length === 0) return []
  const sandboxes = await db
    .selectFrom('sandboxes')
    .selectAll()
    .where('state', '<>', 'destroyed')
    .where(
      'agent_id',
      'in',
      agents.map((agent) => agent.id),
    )
    .execute()
  const byAgent = new Map(sandboxes.map((sandbox) => [sandbox.agent_id, sandbox]))
  return agents.map((agent) => ({ agent, sandbox: byAgent.get(agent.id) ?? null }))
}

/** Agents of a team that are not being destroyed. */
export async function countAgents(db: Db | Tx, teamId: string): Promise<number> {
  const row = await db
    .selectFrom('agents')
    .select((where) => where.fn.countAll<number>().as('count'))
    .where('team_id', '=', teamId)
    .where('deleted_at', 'is', null)
    .executeTakeFirstOrThrow()
  return row.count
}

export async function markDeleted(tx: Tx, id: string): Promise<void> {
  await tx.updateTable('agents').set({ deleted_at: new Date() }).where('id', '=', id).execute()
}

/** Where the next sandbox's workspace is; null: on no host yet. */
export async function setVolume(tx: Tx, id: string, volumeId: string, hostId: string | null): Promise<void> {
  await tx.updateTable('agents').set({ volume_id: volumeId, volume_host_id: hostId }).where('id', '=', id).execute()
}

/** Null: it has no token from now on. */
export async function setProxyToken(tx: Tx, id: string, token: { hash: string; at: Date } | null): Promise<void> {
  const set = { proxy_token_hash: token?.hash ?? null, proxy_token_at: token?.at ?? null }
  await tx.updateTable('agents').set(set).where('id', '=', id).execute()
}

/** Destroyed agents whose last sandbox is gone are forgotten, with their rules. Answers which. */
export function removeDestroyedAgents(db: Db): Promise<{ id: string; team_id: string }[]> {
  return db
    .deleteFrom('agents')
    .where('deleted_at', 'is not', null)
    .where((eb) =>
      eb.not(
        eb.exists(
          eb
            .selectFrom('sandboxes')
            .select('sandboxes.id')
            .whereRef('sandboxes.agent_id', '=', 'agents.id')
            .where('sandboxes.state', '<>', 'destroyed'),
        ),
      ),
    )
    .returning(['id', 'team_id'])
    .execute()
}
