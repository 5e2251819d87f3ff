import type { Agent, Personality } from '../../contract/agents.ts'
import { canDraw } from '../ui/can-draw.ts'
import { cn } from '../ui/cn.ts'
import { Icon, type IconName } from '../ui/icons.tsx'

type Preset = NonNullable<Personality['preset']> | 'own'

const looks: Record<Preset, { icon: IconName; hue: string }> = {
  assistant: { icon: 'leaf', hue: '#1f9d63' },
  engineer: { icon: 'wrench', hue: '#3d6fe0' },
  researcher: { icon: 'search', hue: '#8a5cd6' },
  writer: { icon: 'pen', hue: '#c98313' },
  operator: { icon: 'pulse', hue: '#d1495b' },
  own: { icon: 'spark', hue: '#6a6e7a' },
}

/** The sign of a character, for cards and avatars. */
export function PresetMark({ preset, className }: { preset: Preset; className: string }) {
  const { icon, hue } = looks[preset]
  return (
    <span
      aria-hidden="true"
      style={{
        background: `color-mix(in oklab, ${hue} 13%, var(--surface))`,
        color: `color-mix(in oklab, ${hue} 72%, var(--ink))`,
      }}
      className={cn('grid shrink-0 place-items-center', className)}
    >
      <Icon name={icon} className="size-1/2" />
    </span>
  )
}

/** The agent's own emoji, or the sign of its character. */
export function AgentAvatar({ agent, large = false }: { agent: Pick<Agent, 'name' | 'personality'>; large?: boolean }) {
  const { emoji, preset } = agent.personality
  const size = large ? 'size-12 text-2xl' : 'size-10 text-xl'
  if (emoji === '' || !canDraw(emoji)) return <PresetMark preset={preset ?? 'own'} className={cn(size, 'rounded-xl')} />
  return (
    <span
      aria-hidden="true"
      className={cn('grid shrink-0 place-items-center rounded-xl border border-line bg-sunken leading-none', size)}
    >
      {emoji}
    </span>
  )
}
