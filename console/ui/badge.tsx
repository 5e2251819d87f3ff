import type { ReactNode } from 'react'
import { cn } from './cn.ts'

export type BadgeTone = 'ok' | 'busy' | 'warn' | 'bad' | 'idle'

const tones: Record<BadgeTone, { box: string; dot: string }> = {
  ok: { box: 'bg-ok-soft text-ok', dot: 'bg-ok-dot' },
  busy: { box: 'bg-accent-soft text-accent', dot: 'bg-accent animate-breathe' },
  warn: { box: 'bg-warn-soft text-warn', dot: 'bg-warn-dot' },
  bad: { box: 'bg-bad-soft text-bad', dot: 'bg-bad-dot' },
  idle: { box: 'bg-sunken text-ink-2', dot: 'bg-ink-3' },
}

export function Badge({
  tone = 'idle',
  dot = false,
  children,
}: {
  tone?: BadgeTone
  dot?: boolean
  children: ReactNode
}) {
  return (
    <span
      className={cn(
        'inline-flex h-6 items-center gap-1.5 rounded-full px-2.5 text-xs font-medium whitespace-nowrap',
        tones[tone].box,
      )}
    >
      {dot && <span className={cn('size-1.5 rounded-full', tones[tone].dot)} />}
      {children}
    </span>
  )
}
