import * as api from '../contract/agents.ts'
import type { Call, Output } from '../contract/route.ts'
import { getAgentUsage, type Usage } from '../contract/usage.ts'
import { call, type ClientOptions } from './call.ts'
import { allPages, type Page } from './pages.ts'
import { stream } from './stream.ts'

type Body<R> = Call<R> extends { body: infer B } ? B : never
type Query<R> = Call<R> extends { query: infer Q } ? Q : never
type Workspace = 'keep' | 'delete'

/** Agents: create, look at, talk to, stop and start. */
export function agents(options: ClientOptions) {
  const by = (id: string) => ({ params: { id } })
  const list = (query: Query<typeof api.listAgents> = {}): Promise<Page<api.Agent>> =>
    call(options, api.listAgents, { query })
  return {
    create: (body: Body<typeof api.createAgent>): Promise<api.Agent> => call(options, api.createAgent, { body }),
    list,
    all: (): AsyncGenerator<api.Agent> => allPages((cursor) => list({ cursor, limit: 200 })),
    get: (id: string): Promise<api.Agent> => call(options, api.getAgent, by(id)),
    update: (id: string, body: Body<typeof api.updateAgent>): Promise<api.Agent> =>
      call(options, api.updateAgent, { ...by(id), body }),
    /** Destroys the agent, its sandbox and its workspace. */
    destroy: (id: string): Promise<{ ok: true }> => call(options, api.deleteAgent, by(id)),
    provision: (id: string): Promise<api.Agent> => call(options, api.provisionAgent, by(id)),
    destroySandbox: (id: string, workspace: Workspace = 'keep'): Promise<api.Agent> =>
      call(options, api.destroyAgentSandbox, { ...by(id), query: { workspace } }),
    start: (id: string): Promise<api.Agent> => call(options, api.startAgent, by(id)),
    stop: (id: string): Promise<api.Agent> => call(options, api.stopAgent, by(id)),
    restart: (id: string): Promise<api.Agent> => call(options, api.restartAgent, by(id)),
    wipe: (id: string, workspace: Workspace = 'keep'): Promise<api.Agent> =>
      call(options, api.wipeAgent, { ...by(id), body: { workspace } }),
    chat: (id: string, body: Body<typeof api.chatWithAgent>, signal?: AbortSignal): AsyncGenerator<api.ChatEvent> =>
      stream(options, api.chatWithAgent, { ...by(id), body, ...(signal ? { signal } : {}) }),
    resetSession: (id: string, session = 'main'): Promise<{ ok: true }> =>
      call(options, api.resetAgentSession, { ...by(id), body: { session } }),
    files: (id: string): Promise<Output<typeof api.listAgentFiles>> => call(options, api.listAgentFiles, by(id)),
    putFile: (
      id: string,
      name: (typeof api.personalityFiles)[number],
      content: string,
    ): Promise<Output<typeof api.putAgentFile>> =>
      call(options, api.putAgentFile, { params: { id, name }, body: { content } }),
    logs: (
      id: string,
      query: Query<typeof api.agentLogs> = {},
      signal?: AbortSignal,
    ): AsyncGenerator<Output<typeof api.agentLogs>> =>
      stream(options, api.agentLogs, { ...by(id), query, ...(signal ? { signal } : {}) }),
    events: (id: string, query: Query<typeof api.agentEvents> = {}): Promise<Output<typeof api.agentEvents>> =>
      call(options, api.agentEvents, { ...by(id), query }),
    /** A new token for its machines elsewhere; one from before ends at once. */
    createProxyToken: (id: string): Promise<api.ProxyToken> => call(options, api.createProxyToken, by(id)),
    revokeProxyToken: (id: string): Promise<{ ok: true }> => call(options, api.deleteProxyToken, by(id)),
    usage: (id: string, month?: string): Promise<Usage> =>
      call(options, getAgentUsage, { ...by(id), query: month === undefined ? {} : { month } }),
  }
}
