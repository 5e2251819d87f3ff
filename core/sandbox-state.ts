import type { SandboxState } from '../contract/sandboxes.ts'

export const sandboxActions = ['start', 'stop', 'restart', 'pause', 'resume', 'wipe', 'destroy', 'reach'] as const
/** `reach` is everything that talks to a running sandbox: exec, chat, its own UI, ports. */
export type SandboxAction = (typeof sandboxActions)[number]

const allowedFrom: Record<SandboxAction, readonly SandboxState[]> = {
  start: ['stopped', 'error'],
  stop: ['creating', 'running', 'paused', 'error', 'missing'],
  restart: ['running', 'error'],
  pause: ['running'],
  resume: ['paused'],
  wipe: ['creating', 'running', 'paused', 'stopped', 'error'],
  destroy: ['creating', 'running', 'paused', 'stopped', 'error', 'missing'],
  reach: ['running'],
}

/** Undefined when the action is allowed, otherwise why not, as a fragment for people: `cannot start a paused sandbox…`. */
export function whyNot(action: SandboxAction, state: SandboxState): string | undefined {
  const states = allowedFrom[action]
  if (states.includes(state)) return undefined
  return `cannot ${action} a sandbox that is ${state}; it must be ${list(states)}`
}

/** What the owner can do about a refusal of `whyNot`; null when nothing but waiting helps. */
export function nextStep(action: SandboxAction, state: SandboxState): string | null {
  switch (state) {
    case 'creating':
      return 'Wait until it runs.'
    case 'running':
      return action === 'start' || action === 'resume' ? 'It runs already.' : null
    case 'paused':
      return 'Resume it first.'
    case 'stopped':
      return action === 'stop' ? 'It is stopped already.' : 'Start it first.'
    case 'error':
      return 'Read its reason, then start it again.'
    case 'missing':
      return 'Its host does not answer; it comes back with the host.'
    case 'destroyed':
      return 'Create a new one.'
  }
}

function list(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}
