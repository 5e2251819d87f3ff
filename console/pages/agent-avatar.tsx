import type { Agent } from '../../contract/agents.ts'
import { emojiOf } from '../lib/look.ts'
import { cn } from '../ui/cn.ts'

export function AgentAvatar({ agent, large = false }: { agent: Pick<Agent, 'name' | 'personality'>; large?: boolean }) {
  return (
    <span
      aria-hidden="true"
      className={cn(
        'grid shrink-0 place-items-center rounded-xl border border-line bg-sunken leading-none',
        large ? 'size-12 text-2xl' : 'size-10 text-xl',
      )}
    >
      {emojiOf(agent.name, agent.personality) || agent.name.slice(0, 1)}
    </span>
  )
}
