import type { Runtime } from '../../contract/agents.ts'
import { openclaw } from './openclaw.ts'
import type { AgentRuntime } from './runtime.ts'

const runtimes: Record<Runtime, AgentRuntime> = { openclaw }

export function runtimeOf(name: Runtime): AgentRuntime {
  return runtimes[name]
}
