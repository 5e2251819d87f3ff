import type { Agent } from '../../contract/agents.ts'
import { nextStep, whyNot } from '../../core/sandbox-state.ts'

export type AgentAction = 'start' | 'stop' | 'restart' | 'wipe' | 'reach'

/** Undefined when the action is possible now, otherwise the sentence to show on the disabled control. */
export function agentWhyNot(action: AgentAction, agent: Pick<Agent, 'state' | 'sandbox'>): string | undefined {
  if (agent.state === 'destroying') return 'It is being destroyed.'
  if (agent.sandbox === null) return action === 'start' ? undefined : 'It has no sandbox. Start it first.'
  if (action === 'reach' && agent.state !== 'running') {
    if (agent.state === 'provisioning' || agent.state === 'starting') return 'Wait until it runs.'
    return nextStep('reach', agent.sandbox.state) ?? 'It is not running.'
  }
  const reason = whyNot(action, agent.sandbox.state)
  if (reason === undefined) return undefined
  return nextStep(action, agent.sandbox.state) ?? `${reason.charAt(0).toUpperCase()}${reason.slice(1)}.`
}
