import { agentEvents, listAgentFiles, personalityFiles, putAgentFile } from '../../contract/agents.ts'
import type { PersonalityFile } from '../../contract/agents.ts'
import type { z } from 'zod'
import { mount } from '../../lib/mount.ts'
import type { App } from '../../lib/mount.ts'
import { actorOf } from '../auth/caller.ts'
import type { Caller } from '../auth/caller.ts'
import { runtimeOf } from '../runtimes/all.ts'
import type { AgentRow } from '../store/agents.ts'
import { findAgent, lockAgent, updateAgent } from '../store/agents.ts'
import { auditAct } from '../store/audit.ts'
import { insertEvents, listAgentEvents } from '../store/events.ts'
import { toPage } from '../store/page.ts'
import { announce, refuseDeleted, unknownAgent } from './agents.ts'
import type { AgentsDeps } from './agents.ts'

type File = z.infer<typeof PersonalityFile>

/** Personality files as the agent gets them, and what happened to it. */
export function mountAgentFiles(app: App<Caller>, deps: AgentsDeps): void {
  const { db } = deps
  mount(app, listAgentFiles, async ({ caller, params }) => {
    const found = await findAgent(db, caller.team.id, params.id)
    if (found === undefined) throw unknownAgent(params.id)
    return { items: filesOf(found.agent) }
  })
  mount(app, putAgentFile, async ({ caller, params, body }) => {
    const teamId = caller.team.id
    const agent = await db.transaction().execute(async (tx) => {
      const found = await lockAgent(tx, teamId, params.id)
      if (found === undefined) throw unknownAgent(params.id)
      refuseDeleted(found)
      const files = { ...found.agent.files, [params.name]: body.content }
      if (body.content === '') delete files[params.name]
      await updateAgent(tx, params.id, { files })
      const message = `${params.name} ${body.content === '' ? 'reset' : 'replaced'} by ${caller.user.name}`
      const state = found.sandbox?.state ?? null
      const sandboxId = found.sandbox?.id ?? null
      await insertEvents(tx, [{ teamId, agentId: params.id, sandboxId, kind: 'agent.updated', message, state }])
      await auditAct(tx, actorOf(caller), putAgentFile.id, { name: params.name }, { agentId: params.id })
      return { ...found.agent, files }
    })
    announce(deps, teamId, params.id, 'agent.updated')
    return fileOf(agent, params.name)
  })
  mount(app, agentEvents, async ({ caller, params, query }) => {
    if ((await findAgent(db, caller.team.id, params.id)) === undefined) throw unknownAgent(params.id)
    const rows = await listAgentEvents(db, params.id, query)
    return toPage(
      rows,
      query.limit,
      (row) => row.at,
      (row) => ({ ...row, at: row.at.toISOString() }),
    )
  })
}

function filesOf(agent: AgentRow): File[] {
  return personalityFiles.map((name) => fileOf(agent, name))
}

function fileOf(agent: AgentRow, name: File['name']): File {
  const own = agent.files[name]
  if (own !== undefined) return { name, content: own, source: 'own' }
  return {
    name,
    content: runtimeOf(agent.runtime).makeFiles(agent.name, agent.personality)[name],
    source: 'personality',
  }
}
