import {
  useId,
  type InputHTMLAttributes,
  type ReactNode,
  type SelectHTMLAttributes,
  type TextareaHTMLAttributes,
} from 'react'
import { cn } from './cn.ts'
import { Icon } from './icons.tsx'

const box = (bad: boolean): string =>
  cn(
    'w-full rounded-lg border bg-surface px-3 text-ink shadow-card outline-offset-0 transition-colors',
    'placeholder:text-ink-3 disabled:bg-sunken disabled:text-ink-3',
    bad ? 'border-bad-dot' : 'border-line-strong hover:border-ink-3',
  )

interface FieldProps {
  label: string
  help?: ReactNode
  error?: string | undefined
  /** Shown beside the label, for example `optional`. */
  aside?: ReactNode
  hideLabel?: boolean
}

interface Wiring {
  id: string
  'aria-invalid': true | undefined
  'aria-describedby': string | undefined
}

/** Label, control, help and error, tied together for assistive technology. */
export function Field({
  label,
  help,
  error,
  aside,
  hideLabel = false,
  children,
}: FieldProps & { children: (wiring: Wiring) => ReactNode }) {
  const id = useId()
  const described = [error === undefined ? null : `${id}e`, help === undefined ? null : `${id}h`]
    .filter(Boolean)
    .join(' ')
  return (
    <div className="flex flex-col gap-1.5">
      <div className={hideLabel ? 'sr-only' : 'flex items-baseline justify-between gap-3'}>
        <label htmlFor={id} className="font-medium">
          {label}
        </label>
        {aside !== undefined && <span className="text-xs text-ink-3">{aside}</span>}
      </div>
      {children({
        id,
        'aria-invalid': error === undefined ? undefined : true,
        'aria-describedby': described || undefined,
      })}
      {error !== undefined && (
        <p id={`${id}e`} className="flex items-start gap-1.5 text-bad">
          <Icon name="alert" className="mt-0.5 size-3.5" />
          {error}
        </p>
      )}
      {help !== undefined && (
        <p id={`${id}h`} className="text-xs text-ink-3">
          {help}
        </p>
      )}
    </div>
  )
}

type TextProps = FieldProps & { mono?: boolean } & Omit<InputHTMLAttributes<HTMLInputElement>, 'id'>
export function TextField({ label, help, error, aside, hideLabel, mono = false, className, ...rest }: TextProps) {
  return (
    <Field label={label} help={help} error={error} aside={aside} {...(hideLabel ? { hideLabel } : {})}>
      {(wiring) => (
        <input {...rest} {...wiring} className={cn(box(error !== undefined), 'h-9', mono && 'font-mono', className)} />
      )}
    </Field>
  )
}

type AreaProps = FieldProps & { mono?: boolean } & Omit<TextareaHTMLAttributes<HTMLTextAreaElement>, 'id'>
export function TextArea({ label, help, error, aside, hideLabel, mono = false, className, ...rest }: AreaProps) {
  return (
    <Field label={label} help={help} error={error} aside={aside} {...(hideLabel ? { hideLabel } : {})}>
      {(wiring) => (
        <textarea
          rows={4}
          {...rest}
          {...wiring}
          className={cn(box(error !== undefined), 'resize-y py-2', mono && 'font-mono leading-relaxed', className)}
        />
      )}
    </Field>
  )
}

type SelectProps = FieldProps & {
  options: readonly { value: string; label: string }[]
} & Omit<SelectHTMLAttributes<HTMLSelectElement>, 'id' | 'children'>
export function SelectField({ label, help, error, aside, hideLabel, options, className, ...rest }: SelectProps) {
  return (
    <Field label={label} help={help} error={error} aside={aside} {...(hideLabel ? { hideLabel } : {})}>
      {(wiring) => (
        <span className={cn('relative block', className)}>
          <select {...rest} {...wiring} className={cn(box(error !== undefined), 'h-9 appearance-none pr-9')}>
            {options.map((option) => (
              <option key={option.value} value={option.value}>
                {option.label}
              </option>
            ))}
          </select>
          <Icon name="down" className="pointer-events-none absolute top-2.5 right-3 size-4 text-ink-3" />
        </span>
      )}
    </Field>
  )
}

export function Switch(props: { label: string; help?: string; checked: boolean; onChange: (on: boolean) => void }) {
  const id = useId()
  return (
    <div className="flex items-start justify-between gap-6">
      <div className="flex flex-col gap-0.5">
        <label htmlFor={id} className="font-medium">
          {props.label}
        </label>
        {props.help !== undefined && (
          <p id={`${id}h`} className="text-ink-2">
            {props.help}
          </p>
        )}
      </div>
      <button
        id={id}
        type="button"
        role="switch"
        aria-checked={props.checked}
        aria-label={props.label}
        aria-describedby={props.help === undefined ? undefined : `${id}h`}
        onClick={() => props.onChange(!props.checked)}
        className={cn(
          'mt-0.5 h-6 w-10 shrink-0 rounded-full p-0.5 transition-colors',
          props.checked ? 'bg-accent' : 'bg-line-strong',
        )}
      >
        <span
          className={cn(
            'block size-5 rounded-full bg-white shadow-card transition-transform',
            props.checked && 'translate-x-4',
          )}
        />
      </button>
    </div>
  )
}
