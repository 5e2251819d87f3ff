import { z } from 'zod'
import { Timestamp } from './page.ts'
import { stream } from './route.ts'

/** Something the caller's team can see has changed. Says what to read again, not what it is now. */
export const Change = z.object({
  kind: z.string().describe('`noun.verb`, for example `agent.updated`; `stream.open` comes first.'),
  agentId: z.string().nullable(),
  sandboxId: z.string().nullable(),
  at: Timestamp,
})
export type Change = z.infer<typeof Change>

export const streamChanges = stream({
  id: 'events.stream',
  method: 'GET',
  path: '/v1/events/stream',
  summary: "Live changes to the team's agents, sandboxes and settings",
  reply: Change,
})
