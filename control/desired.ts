import type { DesiredSandbox, DesiredTemplate, SandboxSpec } from '../contract/sync.ts'
import { runtimeOf } from './runtimes/all.ts'
import type { AgentFacts } from './runtimes/runtime.ts'
import type { AgentRow, SandboxRow } from './store/agents.ts'
import type { Db } from './store/db.ts'
import { listOnHost } from './store/sandboxes.ts'
import { ensureBuilds } from './store/templates.ts'
import { builtInTemplates } from './templates.ts'

/** Origins of an agent's own UI: the gateway speaks HTTP and TLS on one port. `domain` carries the port. */
export function agentOrigins(domain: string, agentId: string): string[] {
  return [`http://${agentId}.agent.${domain}`, `https://${agentId}.agent.${domain}`]
}

/** All that a host shall have: composed from the database alone, so a restarted control says the same. */
export async function desiredOn(
  db: Db,
  domain: string,
  hostId: string,
): Promise<{ sandboxes: DesiredSandbox[]; templates: DesiredTemplate[] }> {
  const [rows, templates] = await Promise.all([listOnHost(db, hostId), desiredTemplates(db, hostId)])
  const facts = await loadAgentFacts(db, domain, rows)
  return {
    sandboxes: rows.map((row) => toDesired(row, row.agent_id === null ? undefined : facts.get(row.agent_id))),
    templates,
  }
}

async function desiredTemplates(db: Db, hostId: string): Promise<DesiredTemplate[]> {
  const builds = await ensureBuilds(db, hostId, builtInTemplates)
  return builtInTemplates.flatMap(({ key, name, from, steps, env, user, cwd, wanted }) => {
    const buildId = builds.get(key)?.id
    return buildId === undefined ? [] : [{ key, name, buildId, from, steps, env, user, cwd, wanted }]
  })
}

function toDesired(row: SandboxRow, facts: { agent: AgentRow; facts: AgentFacts } | undefined): DesiredSandbox {
  const templateKey = row.template_key ?? ''
  const spec =
    facts === undefined
      ? plainSpec(row, templateKey)
      : runtimeOf(facts.agent.runtime).spec({ ...facts.facts, templateKey, size: row.size })
  return {
    id: row.id,
    agentId: row.agent_id,
    state: row.desired,
    generation: row.generation,
    spec,
    deleteVolumes: row.delete_volumes,
  }
}

function plainSpec(row: SandboxRow, templateKey: string): SandboxSpec {
  return {
    template: templateKey,
    isolation: row.isolation,
    size: row.size,
    env: row.env,
    user: null,
    cwd: null,
    start: null,
    ready: null,
    files: [],
    onFilesChanged: null,
    volumes: row.volumes,
  }
}

type Loaded = Map<string, { agent: AgentRow; facts: AgentFacts }>

async function loadAgentFacts(db: Db, domain: string, rows: readonly SandboxRow[]): Promise<Loaded> {
  const ids = rows.flatMap((row) => row.agent_id ?? [])
  if (ids.length === 0) return new Map()
  const agents = await db.selectFrom('agents').selectAll().where('id', 'in', ids).execute()
  const teamIds = [...new Set(agents.map((agent) => agent.team_id))]
  if (teamIds.length === 0) return new Map()
  const members = await db
    .selectFrom('members')
    .select(['team_id', 'user_id'])
    .where('team_id', 'in', teamIds)
    .orderBy('user_id')
    .execute()
  const secrets = await db
    .selectFrom('secrets')
    .select(['team_id', 'name', 'placeholder'])
    .where('team_id', 'in', teamIds)
    .execute()
  return new Map(
    agents.map((agent) => {
      const secret = secrets.find((each) => each.team_id === agent.team_id && each.name === agent.model.secret)
      const facts: AgentFacts = {
        id: agent.id,
        name: agent.name,
        personality: agent.personality,
        ownFiles: agent.files,
        model: agent.model,
        modelPlaceholder: secret?.placeholder ?? null,
        size: agent.size,
        ownerIds: members.filter((member) => member.team_id === agent.team_id).map((member) => member.user_id),
        origins: agentOrigins(domain, agent.id),
        volumeId: agent.volume_id ?? agent.id,
        templateKey: '',
      }
      return [agent.id, { agent, facts }]
    }),
  )
}
