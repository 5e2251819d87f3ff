import type { ReactNode } from 'react'
import { Button } from './button.tsx'
import { cn } from './cn.ts'
import { Icon, type IconName } from './icons.tsx'
import { InlineText } from './markdown.tsx'

export function Skeleton({ className }: { className?: string }) {
  return <div className={cn('animate-sheen rounded-md bg-sunken', className)} />
}

/** Grey lines where a table or list is about to be. */
export function SkeletonRows({ rows = 4 }: { rows?: number }) {
  return (
    <div role="status" aria-label="Loading" className="divide-y divide-line">
      {Array.from({ length: rows }, (_, row) => (
        <div key={row} className="flex items-center gap-4 px-4 py-3.5 sm:px-5">
          <Skeleton className="h-4 w-1/3" />
          <Skeleton className="h-4 w-1/5" />
          <Skeleton className="ml-auto h-4 w-16" />
        </div>
      ))}
    </div>
  )
}

/** Nothing here yet: what this is, and how to make the first one. */
export function Empty(props: { icon: IconName; title: string; help: ReactNode; children?: ReactNode }) {
  return (
    <div className="flex flex-col items-center gap-3 px-6 py-12 text-center">
      <span className="grid size-11 place-items-center rounded-xl border border-line bg-sunken text-ink-2">
        <Icon name={props.icon} className="size-5" />
      </span>
      <div className="flex max-w-md flex-col gap-1">
        <h3 className="text-base font-semibold tracking-tight">{props.title}</h3>
        <p className="text-ink-2">{props.help}</p>
      </div>
      {props.children !== undefined && <div className="flex flex-wrap justify-center gap-2 pt-1">{props.children}</div>}
    </div>
  )
}

export interface FailureText {
  message: string
  hint: string | null
  requestId: string | null
}

/** A view that could not be loaded: what, what next, the id to quote, and another try. */
export function Failure({ told, onRetry, busy = false }: { told: FailureText; onRetry: () => void; busy?: boolean }) {
  return (
    <div role="alert" className="flex flex-col items-center gap-3 px-6 py-10 text-center">
      <span className="grid size-11 place-items-center rounded-xl bg-bad-soft text-bad">
        <Icon name="alert" className="size-5" />
      </span>
      <div className="flex max-w-lg flex-col gap-1">
        <p className="text-base font-semibold tracking-tight break-words">{told.message}</p>
        {told.hint !== null && (
          <p className="text-ink-2">
            <InlineText text={told.hint} />
          </p>
        )}
        {told.requestId !== null && <p className="font-mono text-xs text-ink-3">Request {told.requestId}</p>}
      </div>
      <Button onClick={onRetry} busy={busy} icon="restart">
        Try again
      </Button>
    </div>
  )
}

const noticeTones = {
  bad: 'border-bad-dot/30 bg-bad-soft text-bad',
  warn: 'border-warn-dot/40 bg-warn-soft text-warn',
  info: 'border-accent-line bg-accent-soft text-accent',
} as const

/** A message inside a page, above what it is about. */
export function Notice(props: {
  tone: keyof typeof noticeTones
  title: ReactNode
  children?: ReactNode
  actions?: ReactNode
}) {
  return (
    <div
      role={props.tone === 'bad' ? 'alert' : 'status'}
      className={cn('flex flex-wrap items-start gap-x-3 gap-y-2 rounded-xl border px-4 py-3', noticeTones[props.tone])}
    >
      <Icon name="alert" className="mt-0.5 size-4" />
      <div className="flex min-w-48 flex-1 flex-col gap-0.5">
        <p className="font-medium break-words">{props.title}</p>
        {props.children !== undefined && <div className="break-words text-ink-2">{props.children}</div>}
      </div>
      {props.actions}
    </div>
  )
}

/** A form's error as a whole, above its buttons. */
export function FormError({ told }: { told: FailureText | null }) {
  if (told === null) return null
  return (
    <Notice tone="bad" title={told.message}>
      {(told.hint !== null || told.requestId !== null) && (
        <>
          {told.hint !== null && <InlineText text={told.hint} />}
          {told.requestId !== null && <span className="block font-mono text-xs">Request {told.requestId}</span>}
        </>
      )}
    </Notice>
  )
}
