import type { EgressPolicy, PolicyAlias, PolicyRule, PolicySecret } from '../contract/sync.ts'
import { assess } from '../core/budget.ts'
import { parseAuthority } from '../core/host-name.ts'
import { monthOf, usagePeriod } from '../core/metering.ts'
import { modelAlias, modelTarget } from './runtimes/openclaw-config.ts'
import type { AgentRow } from './store/agents.ts'
import type { Db } from './store/db.ts'
import { termsByTeam } from './store/plans.ts'
import type { SandboxRow } from './store/sandboxes.ts'
import { listLiving } from './store/sandboxes.ts'
import { bandwidthByTeam } from './store/usage.ts'

/** One policy for every living sandbox and every template build under way, ordered by id so that equal sets hash equally. */
export async function composePolicies(db: Db, now: Date): Promise<EgressPolicy[]> {
  const sandboxes = (await listLiving(db)).filter((row) => row.desired !== 'destroyed')
  const [agents, rules, secrets, exhausted] = await Promise.all([
    db.selectFrom('agents').selectAll().execute(),
    db.selectFrom('egress_rules').selectAll().orderBy('id').execute(),
    db.selectFrom('secrets').selectAll().orderBy('id').execute(),
    exhaustedTeams(db, now),
  ])
  const agentById = new Map(agents.map((agent) => [agent.id, agent]))
  const policies = sandboxes.map((sandbox): EgressPolicy => {
    const agent = sandbox.agent_id === null ? undefined : agentById.get(sandbox.agent_id)
    const own = secrets.filter((secret) => secret.team_id === sandbox.team_id)
    return {
      sandboxId: sandbox.id,
      agentId: sandbox.agent_id,
      teamId: sandbox.team_id,
      rules: rules.filter((rule) => appliesTo(rule, sandbox)).map(toPolicyRule),
      secrets: own.map(toPolicySecret),
      aliases: agent === undefined ? [] : [aliasOf(agent, own)],
      // A machine elsewhere is the agent too: what its owner stopped is denied there as well.
      proxyTokenHash: sandbox.desired === 'running' ? (agent?.proxy_token_hash ?? null) : null,
      exhausted: exhausted.has(sandbox.team_id),
    }
  })
  return [...policies, ...(await buildPolicies(db))]
}

interface RuleRow {
  id: string
  scope: 'global' | 'team' | 'agent' | 'sandbox'
  team_id: string | null
  agent_id: string | null
  sandbox_id: string | null
  host: string
  port: number | null
}

function appliesTo(rule: RuleRow, sandbox: SandboxRow): boolean {
  switch (rule.scope) {
    case 'global':
      return true
    case 'team':
      return rule.team_id === sandbox.team_id
    case 'agent':
      return rule.agent_id !== null && rule.agent_id === sandbox.agent_id
    case 'sandbox':
      return rule.sandbox_id === sandbox.id
  }
}

const toPolicyRule = ({ id, host, port }: RuleRow): PolicyRule => ({ id, host, port, allowReserved: false })

interface SecretRow {
  id: string
  name: string
  hosts: string[]
  header: string
  format: string
  placeholder: string
  key_id: string
  wrapped_key: string
  iv: string
  data: string
}

function toPolicySecret(row: SecretRow): PolicySecret {
  return {
    id: row.id,
    name: row.name,
    hosts: row.hosts.map(splitHost),
    header: row.header,
    format: row.format,
    placeholder: row.placeholder,
    sealed: { keyId: row.key_id, wrappedKey: row.wrapped_key, iv: row.iv, data: row.data },
  }
}

/** A stored `host` or `host:port` in its parts. Throws when it is neither: what is stored was checked. */
export function splitHost(text: string): { host: string; port: number | null } {
  const parsed = parseAuthority(text)
  if (!parsed.ok) throw new Error(`stored host ${text} ${parsed.why}`)
  return { host: parsed.host.text, port: parsed.port }
}

function aliasOf(agent: AgentRow, secrets: readonly SecretRow[]): PolicyAlias {
  const { model } = agent
  return {
    name: modelAlias,
    target: modelTarget(model.baseUrl, model.api),
    secretId: secrets.find((secret) => secret.name === model.secret)?.id ?? null,
    modelApi: model.api,
  }
}

/**
 * A build reaches the registries of its own host's configuration and nothing else. Those are the operator's choice, so
 * only here may a name resolve to a private address.
 */
async function buildPolicies(db: Db): Promise<EgressPolicy[]> {
  const builds = await db
    .selectFrom('template_builds')
    .innerJoin('hosts', 'hosts.id', 'template_builds.host_id')
    .select(['template_builds.id', 'hosts.registries'])
    .where('template_builds.state', '<>', 'ready')
    .orderBy('template_builds.id')
    .execute()
  return builds.map(({ id, registries }) => ({
    sandboxId: id,
    agentId: null,
    teamId: null,
    rules: registries.map((registry) => ({ id: 'build', ...splitHost(registry), allowReserved: true })),
    secrets: [],
    aliases: [],
    proxyTokenHash: null,
    exhausted: false,
  }))
}

/** Teams whose plan and budget of this usage period are both used up. */
export async function exhaustedTeams(db: Db, now: Date): Promise<Set<string>> {
  const { start, end } = usagePeriod(monthOf(now))
  const [terms, used] = await Promise.all([
    termsByTeam(db),
    bandwidthByTeam(db, start.toISOString().slice(0, 10), end.toISOString().slice(0, 10)),
  ])
  const exhausted = [...terms].filter(
    ([teamId, { plan, budgetCents }]) => assess(plan, used.get(teamId) ?? 0, budgetCents).verdict === 'exceeded',
  )
  return new Set(exhausted.map(([teamId]) => teamId))
}
