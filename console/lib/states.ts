import type { AgentState } from '../../contract/agents.ts'
import type { SandboxStep } from '../../contract/sandboxes.ts'
import type { Host, Template } from '../../contract/templates.ts'
import type { Usage } from '../../contract/usage.ts'

/** What a state feels like. `busy` is on its way and moves; `idle` wants nothing. */
export type Tone = 'ok' | 'busy' | 'warn' | 'bad' | 'idle'
export interface Look {
  label: string
  tone: Tone
}

// Exhaustive on purpose: a new state in the contract breaks the build here.
export const agentLooks: Record<AgentState, Look> = {
  provisioning: { label: 'Setting up', tone: 'busy' },
  starting: { label: 'Starting', tone: 'busy' },
  running: { label: 'Running', tone: 'ok' },
  stopping: { label: 'Stopping', tone: 'busy' },
  stopped: { label: 'Stopped', tone: 'idle' },
  error: { label: 'Error', tone: 'bad' },
  unreachable: { label: 'Unreachable', tone: 'warn' },
  none: { label: 'No sandbox', tone: 'idle' },
  destroying: { label: 'Destroying', tone: 'busy' },
}

export const templateLooks: Record<Template['state'], Look> = {
  absent: { label: 'Not built', tone: 'idle' },
  building: { label: 'Building', tone: 'busy' },
  ready: { label: 'Ready', tone: 'ok' },
  failed: { label: 'Failed', tone: 'bad' },
}

export const hostLooks: Record<Host['state'], Look> = {
  ready: { label: 'Ready', tone: 'ok' },
  unreachable: { label: 'Unreachable', tone: 'warn' },
}

export const verdictLooks: Record<Usage['verdict'], Look> = {
  within: { label: 'Within plan', tone: 'ok' },
  overage: { label: 'In overage', tone: 'warn' },
  exceeded: { label: 'Budget used up', tone: 'bad' },
}

/** States that end by themselves, so the page keeps looking. */
export const isTransitional = (state: AgentState): boolean => agentLooks[state].tone === 'busy'

/** The steps of setting up, in the words of someone who does it for the first time. */
export const stepTexts: Record<SandboxStep, { title: string; detail: string }> = {
  placing: { title: 'Finding a place', detail: 'Choosing a host with enough free memory.' },
  template: { title: 'Preparing the system', detail: 'Built once per host, the first time; later agents skip this.' },
  creating: { title: 'Creating the sandbox', detail: 'Its own files, network and users, sealed off from the host.' },
  booting: { title: 'Starting the agent', detail: 'Personality and settings are put in place.' },
  waiting: { title: 'Waiting for it to answer', detail: 'The agent is warming up, usually 10 to 15 seconds.' },
}
