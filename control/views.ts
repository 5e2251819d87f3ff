import type { Agent } from '../contract/agents.ts'
import type { Sandbox } from '../contract/sandboxes.ts'
import { agentCondition } from '../core/agent-state.ts'
import type { AgentWithSandbox, SandboxRow } from './store/agents.ts'

/** A sandbox as the API shows it. */
export function toSandbox(row: SandboxRow): Sandbox {
  return {
    id: row.id,
    teamId: row.team_id,
    agentId: row.agent_id,
    template: row.template,
    isolation: row.isolation,
    size: row.size,
    metadata: row.metadata,
    desired: row.desired,
    state: row.state,
    step: row.step,
    reason: row.reason,
    since: row.since.toISOString(),
    hostId: row.host_id,
    timings: row.timings,
    createdAt: row.created_at.toISOString(),
    expiresAt: row.expires_at?.toISOString() ?? null,
    onTimeout: row.on_timeout,
    wakeOnTraffic: row.wake_on_traffic,
  }
}

/** An agent as the API shows it. `publicUrl` is the console's origin, which leads to the agent's own one. */
export function toAgent({ agent, sandbox }: AgentWithSandbox, publicUrl: string): Agent {
  const condition = agentCondition(
    sandbox === null
      ? null
      : {
          desired: sandbox.desired,
          state: sandbox.state,
          step: sandbox.step,
          reason: sandbox.reason,
          ready: sandbox.ready,
          restarting: sandbox.generation > sandbox.observed_generation,
          stoppedBy: sandbox.stopped_by,
        },
    agent.deleted_at !== null,
  )
  return {
    id: agent.id,
    teamId: agent.team_id,
    name: agent.name,
    runtime: agent.runtime,
    personality: agent.personality,
    model: agent.model,
    size: agent.size,
    ...condition,
    since: (sandbox?.since ?? agent.deleted_at ?? agent.created_at).toISOString(),
    sandbox: sandbox === null ? null : toSandbox(sandbox),
    url: condition.state === 'running' ? `${publicUrl.replace(/\/$/, '')}/agents/${agent.id}/gateway/` : null,
    proxyTokenAt: agent.proxy_token_at?.toISOString() ?? null,
    createdAt: agent.created_at.toISOString(),
  }
}
