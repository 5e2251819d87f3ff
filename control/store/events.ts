import { newId } from '../../contract/ids.ts'
import type { SandboxState } from '../../contract/sandboxes.ts'
import type { Db, Tx } from './db.ts'
import { after } from './page.ts'
import type { Paging } from './page.ts'

export interface NewEvent {
  teamId: string
  agentId: string | null
  sandboxId: string | null
  /** `noun.verb`, for example `sandbox.started`. */
  kind: string
  /** A sentence for people. */
  message: string
  state?: SandboxState | null
}

/** Says what the control plane did, in the transaction that did it. */
export async function insertEvents(db: Db | Tx, events: readonly NewEvent[]): Promise<void> {
  if (events.length === 0) return
  await db
    .insertInto('events')
    .values(
      events.map((event) => ({
        id: newId('event'),
        team_id: event.teamId,
        agent_id: event.agentId,
        sandbox_id: event.sandboxId,
        kind: event.kind,
        message: event.message,
        state: event.state ?? null,
      })),
    )
    .execute()
}

export interface EventRow {
  id: string
  at: Date
  kind: string
  message: string
  state: SandboxState | null
}

/** Newest first; one row more than the page holds, for `toPage`. */
export function listAgentEvents(db: Db, agentId: string, page: Paging): Promise<EventRow[]> {
  let query = db
    .selectFrom('events')
    .select(['id', 'at', 'kind', 'message', 'state'])
    .where('agent_id', '=', agentId)
    .orderBy('at', 'desc')
    .orderBy('id', 'desc')
    .limit(page.limit + 1)
  query = query.where(after('at', 'id', page.cursor))
  return query.execute()
}
