import type { Model, Personality, personalityFiles, Runtime as RuntimeName } from '../../contract/agents.ts'
import type { Size } from '../../contract/sandboxes.ts'
import type { SandboxSpec } from '../../contract/sync.ts'

export type PersonalityFileName = (typeof personalityFiles)[number]

/** Everything a runtime may know about an agent. It holds no secret: `modelPlaceholder` is the worthless stand-in. */
export interface AgentFacts {
  id: string
  name: string
  personality: Personality
  /** Personality files the owner replaced by own text. */
  ownFiles: Readonly<Partial<Record<PersonalityFileName, string>>>
  model: Model
  modelPlaceholder: string | null
  size: Size
  /** Opaque ids of the users who may open the agent's own UI. */
  ownerIds: readonly string[]
  /** Origins under which the gateway serves the agent's own UI. */
  origins: readonly string[]
  /** The directory that outlives the root disk. */
  volumeId: string
  /** Key of the built template the sandbox starts from. */
  templateKey: string
}

/** What the gateway may put on requests to the agent's own UI, and where that listens. */
export interface UiAccess {
  port: number
  headers: Record<string, string>
}

/** How one kind of agent is put into a sandbox. Pure: the same facts give the same spec. */
export interface AgentRuntime {
  readonly name: RuntimeName
  /** Name of the template its sandboxes are made from. */
  readonly template: string
  spec(agent: AgentFacts): SandboxSpec
  /** The personality files as made from the personality, before own files replace them. */
  makeFiles(name: string, personality: Personality): Record<PersonalityFileName, string>
  /** Identity of a user at the agent's own UI; only ever sent by the gateway. */
  uiAccess(userId: string): UiAccess
}
