import { agentEvents, getAgent, listAgents } from '../../../contract/agents.ts'

/** What may read differently after something was done to an agent. */
export const agentReads = [getAgent, listAgents, agentEvents]
