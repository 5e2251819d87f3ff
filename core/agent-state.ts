import type { AgentState } from '../contract/agents.ts'
import type { SandboxState, SandboxStep } from '../contract/sandboxes.ts'
import type { DesiredSandbox } from '../contract/sync.ts'

export interface SandboxFacts {
  desired: DesiredSandbox['state']
  state: SandboxState
  step: SandboxStep | null
  reason: string | null
  ready: boolean
  /** The restart asked for has not been reached yet. */
  restarting: boolean
  stoppedBy: 'user' | 'budget' | null
}

export interface AgentCondition {
  state: AgentState
  step: SandboxStep | null
  reason: string | null
}

/** An agent's condition in one word, from what is desired of its sandbox and what was observed. */
export function agentCondition(sandbox: SandboxFacts | null, deleted: boolean): AgentCondition {
  if (sandbox === null || sandbox.state === 'destroyed')
    return { state: deleted ? 'destroying' : 'none', step: null, reason: null }
  const { reason } = sandbox
  if (sandbox.state === 'missing' && !deleted) return { state: 'unreachable', step: null, reason }
  switch (sandbox.desired) {
    case 'destroyed':
      return { state: 'destroying', step: null, reason: sandbox.state === 'missing' ? reason : null }
    case 'stopped':
    case 'paused':
      return stopping(sandbox)
    case 'running':
      return starting(sandbox)
  }
}

function stopping(sandbox: SandboxFacts): AgentCondition {
  const atRest = sandbox.state === 'stopped' || sandbox.state === 'paused' || sandbox.state === 'error'
  return { state: atRest ? 'stopped' : 'stopping', step: null, reason: sandbox.reason }
}

function starting(sandbox: SandboxFacts): AgentCondition {
  const { state, step, reason } = sandbox
  if (state === 'error') return { state: 'error', step, reason }
  if (state === 'running' && sandbox.ready && !sandbox.restarting) return { state: 'running', step: null, reason }
  if (state === 'creating' && (step === null || step === 'placing' || step === 'template' || step === 'creating'))
    return { state: 'provisioning', step, reason }
  return { state: 'starting', step: step ?? (state === 'running' ? 'waiting' : 'booting'), reason }
}
