import type { ReactNode } from 'react'
import { cn } from './cn.ts'

export function Card({ children, className }: { children: ReactNode; className?: string }) {
  return <div className={cn('rounded-xl border border-line bg-surface shadow-card', className)}>{children}</div>
}

/** A titled part of a page: heading, one line of help, actions on the right, content in a card or plain. */
export function Section(props: {
  title: string
  help?: ReactNode
  actions?: ReactNode
  plain?: boolean
  children: ReactNode
}) {
  const { title, help, actions, plain = false, children } = props
  return (
    <section aria-label={title} className="flex flex-col gap-3">
      <div className="flex flex-wrap items-end justify-between gap-x-4 gap-y-2">
        <div className="flex min-w-0 flex-col gap-0.5">
          <h2 className="text-base font-semibold tracking-tight">{title}</h2>
          {help !== undefined && <p className="max-w-2xl text-pretty text-ink-2">{help}</p>}
        </div>
        {actions}
      </div>
      {plain ? children : <Card>{children}</Card>}
    </section>
  )
}

/** Name and value pairs. */
export function Facts({ items }: { items: readonly { name: string; value: ReactNode }[] }) {
  return (
    <dl className="divide-y divide-line">
      {items.map(({ name, value }) => (
        <div key={name} className="flex flex-wrap items-baseline justify-between gap-x-6 gap-y-0.5 px-4 py-2.5 sm:px-5">
          <dt className="text-ink-2">{name}</dt>
          <dd className="min-w-0 font-medium break-words tabular">{value}</dd>
        </div>
      ))}
    </dl>
  )
}
