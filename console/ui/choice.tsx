import { useId, type ReactNode } from 'react'
import { cn } from './cn.ts'

export interface ChoiceOption<V extends string> {
  value: V
  title: string
  detail?: ReactNode
  icon?: ReactNode
}

/** Cards of which one is chosen: real radio buttons, so arrow keys move between them. */
export function Choice<V extends string>(props: {
  legend: string
  hideLegend?: boolean
  value: V
  options: readonly ChoiceOption<V>[]
  onChange: (value: V) => void
  /** Tailwind columns of the grid. */
  columns: string
  error?: string | undefined
}) {
  const name = useId()
  return (
    <fieldset className="flex min-w-0 flex-col gap-2">
      <legend className={props.hideLegend === true ? 'sr-only' : 'mb-2 font-medium'}>{props.legend}</legend>
      <div className={cn('grid gap-2', props.columns)}>
        {props.options.map((option) => (
          <label
            key={option.value}
            className={cn(
              'flex min-w-0 cursor-pointer items-start gap-2.5 rounded-lg border px-3 py-2.5 transition-colors',
              'has-focus-visible:outline-2 has-focus-visible:outline-offset-2 has-focus-visible:outline-accent',
              option.value === props.value
                ? 'border-accent bg-accent-soft ring-1 ring-accent'
                : 'border-line-strong bg-surface shadow-card hover:border-ink-3',
            )}
          >
            <input
              type="radio"
              name={name}
              value={option.value}
              checked={option.value === props.value}
              onChange={() => props.onChange(option.value)}
              className="sr-only"
            />
            {option.icon !== undefined && <span className="text-lg leading-6">{option.icon}</span>}
            <span className="flex min-w-0 flex-col">
              <span className="font-medium">{option.title}</span>
              {option.detail !== undefined && <span className="text-xs text-ink-2">{option.detail}</span>}
            </span>
          </label>
        ))}
      </div>
      {props.error !== undefined && <p className="text-bad">{props.error}</p>}
    </fieldset>
  )
}

/** A few short words of which one is chosen. */
export function Segments<V extends string>(props: {
  label: string
  value: V
  options: readonly { value: V; label: string }[]
  onChange: (value: V) => void
}) {
  return (
    <div role="group" aria-label={props.label} className="inline-flex rounded-lg border border-line bg-sunken p-0.5">
      {props.options.map((option) => (
        <button
          key={option.value}
          type="button"
          aria-pressed={option.value === props.value}
          onClick={() => props.onChange(option.value)}
          className={cn(
            'h-7 rounded-md px-2.5 text-sm font-medium whitespace-nowrap',
            option.value === props.value ? 'bg-selected text-ink shadow-card' : 'text-ink-2 hover:text-ink',
          )}
        >
          {option.label}
        </button>
      ))}
    </div>
  )
}
