import type { Agent } from '../../contract/agents.ts'
import { makePersonalityFiles } from '../../core/personality.ts'

/** The agent's emoji: its own, or its preset's, read from the same text the agent itself gets. */
export function emojiOf(name: string, personality: Agent['personality']): string {
  if (personality.emoji !== '') return personality.emoji
  return /\*\*Emoji:\*\* (\S+)/.exec(makePersonalityFiles(name, personality)['IDENTITY.md'])?.[1] ?? ''
}

/** One line on what a preset is, from the same text. */
export function natureOf(preset: Agent['personality']['preset']): string {
  const personality = { preset, soul: '', instructions: '', emoji: '' }
  return /\*\*Nature:\*\* (.+)/.exec(makePersonalityFiles('Agent', personality)['IDENTITY.md'])?.[1] ?? ''
}
