import { cn } from './cn.ts'

const tones = { accent: 'bg-accent', ok: 'bg-ok-dot', warn: 'bg-warn-dot', bad: 'bg-bad-dot' } as const

/** How much of something is done or used. `share` is 0 to 1; `text` is read out instead of the percentage. */
export function Progress(props: { label: string; share: number; text?: string; tone?: keyof typeof tones }) {
  const percent = Math.round(Math.min(1, Math.max(0, props.share)) * 1000) / 10
  return (
    <div
      role="progressbar"
      aria-label={props.label}
      aria-valuenow={percent}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuetext={props.text}
      className="h-1.5 overflow-hidden rounded-full bg-sunken ring-1 ring-line ring-inset"
    >
      <div
        className={cn('h-full rounded-full transition-[width] duration-300', tones[props.tone ?? 'accent'])}
        style={{ width: `${percent}%` }}
      />
    </div>
  )
}
