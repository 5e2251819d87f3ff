import { useId, type ButtonHTMLAttributes, type MouseEvent, type ReactNode } from 'react'
import { cn } from './cn.ts'
import { Icon, Spinner, type IconName } from './icons.tsx'

const variants = {
  primary: 'bg-solid text-on-solid hover:bg-solid-hover shadow-card',
  secondary: 'bg-surface text-ink border border-line-strong hover:bg-sunken shadow-card',
  ghost: 'text-ink-2 hover:bg-sunken hover:text-ink',
  danger: 'bg-bad-solid text-white hover:bg-bad-solid-hover shadow-card',
  dangerGhost: 'text-bad hover:bg-bad-soft',
} as const
const sizes = {
  md: 'h-9 px-3.5 gap-2',
  sm: 'h-8 px-3 gap-1.5',
  icon: 'size-9 justify-center',
} as const

interface Look {
  variant?: keyof typeof variants
  size?: keyof typeof sizes
}

/** The classes of a button, for links that look like one. */
export const buttonClass = ({ variant = 'secondary', size = 'md' }: Look = {}, extra?: string): string =>
  cn(
    'inline-flex shrink-0 items-center justify-center rounded-lg text-sm font-medium whitespace-nowrap select-none',
    'transition-colors duration-100 aria-disabled:opacity-50 aria-disabled:cursor-not-allowed',
    variants[variant],
    sizes[size],
    extra,
  )

interface ButtonProps extends Look, Omit<ButtonHTMLAttributes<HTMLButtonElement>, 'disabled'> {
  icon?: IconName
  /** Something is under way: shows a spinner and takes no clicks. */
  busy?: boolean
  /** Why it cannot be used now. The button stays reachable and says so, instead of vanishing. */
  why?: string | undefined
  children?: ReactNode
}

export function Button({ variant, size, icon, busy = false, why, className, children, onClick, ...rest }: ButtonProps) {
  const whyId = useId()
  const off = busy || why !== undefined
  const click = (event: MouseEvent<HTMLButtonElement>): void => {
    if (off) event.preventDefault()
    else onClick?.(event)
  }
  const button = (
    <button
      type="button"
      {...rest}
      onClick={click}
      aria-disabled={off || undefined}
      aria-busy={busy || undefined}
      aria-describedby={why === undefined ? rest['aria-describedby'] : whyId}
      className={buttonClass({ ...(variant && { variant }), ...(size && { size }) }, className)}
    >
      {busy ? <Spinner /> : icon && <Icon name={icon} />}
      {children}
    </button>
  )
  if (why === undefined) return button
  return (
    <span className="group/why relative inline-flex">
      {button}
      <span
        id={whyId}
        role="tooltip"
        className={cn(
          'pointer-events-none z-30 hidden w-max max-w-60 rounded-md bg-solid px-2.5 py-1.5 text-xs text-on-solid shadow-float',
          'absolute top-full right-0 mt-1.5 max-sm:fixed max-sm:inset-x-4 max-sm:top-auto max-sm:bottom-4 max-sm:w-auto',
          'max-sm:max-w-none group-focus-within/why:block group-hover/why:block',
        )}
      >
        {why}
      </span>
    </span>
  )
}
