import { useEffect, useId, useRef, useState, type KeyboardEvent, type ReactNode } from 'react'
import { cn } from './cn.ts'
import { Icon, type IconName } from './icons.tsx'

export interface MenuItem {
  label: string
  icon?: IconName
  danger?: boolean
  /** Why it cannot be used now. */
  why?: string | undefined
  onSelect: () => void
}

/** A button that opens a list of actions (WAI-ARIA menu button: arrows move, Escape closes and gives focus back). */
export function Menu(props: {
  label: string
  trigger: ReactNode
  triggerClass: string
  items: readonly MenuItem[]
  header?: ReactNode
  place?: 'below' | 'above'
}) {
  const [open, setOpen] = useState(false)
  const root = useRef<HTMLDivElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  const id = useId()
  useEffect(() => {
    if (!open) return undefined
    root.current?.querySelector<HTMLElement>('[role=menuitem]')?.focus()
    const outside = (event: PointerEvent): void => {
      if (event.target instanceof Node && root.current?.contains(event.target) === false) setOpen(false)
    }
    document.addEventListener('pointerdown', outside)
    return () => document.removeEventListener('pointerdown', outside)
  }, [open])

  const leave = (): void => {
    setOpen(false)
    button.current?.focus()
  }
  const keys = (event: KeyboardEvent): void => {
    const items = [...(root.current?.querySelectorAll<HTMLElement>('[role=menuitem]') ?? [])]
    const at = items.findIndex((item) => item === document.activeElement)
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key]
    if (event.key === 'Escape') leave()
    else if (event.key === 'Tab') setOpen(false)
    else if (to !== undefined) {
      event.preventDefault()
      items.at(to % items.length)?.focus()
    }
  }
  return (
    <div ref={root} className="relative inline-flex">
      <button
        ref={button}
        type="button"
        aria-label={props.label}
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        onClick={() => setOpen(!open)}
        className={props.triggerClass}
      >
        {props.trigger}
      </button>
      {open && (
        <div
          id={id}
          role="menu"
          tabIndex={-1}
          aria-label={props.label}
          onKeyDown={keys}
          className={cn(
            'absolute z-40 w-56 animate-rise rounded-xl border border-line bg-raised p-1.5 shadow-float',
            props.place === 'above' ? 'bottom-full left-0 mb-2' : 'top-full right-0 mt-2',
          )}
        >
          {props.header}
          {props.items.map((item) => (
            <button
              key={item.label}
              type="button"
              role="menuitem"
              tabIndex={-1}
              aria-disabled={item.why !== undefined || undefined}
              title={item.why}
              onClick={() => {
                if (item.why !== undefined) return
                leave()
                item.onSelect()
              }}
              className={cn(
                'flex w-full items-center gap-2.5 rounded-lg px-2.5 py-2 text-left -outline-offset-2',
                'hover:bg-sunken focus-visible:bg-sunken aria-disabled:opacity-50',
                item.danger === true ? 'text-bad' : 'text-ink',
              )}
            >
              {item.icon && <Icon name={item.icon} />}
              <span className="flex flex-col">
                {item.label}
                {item.why !== undefined && <span className="text-xs">{item.why}</span>}
              </span>
            </button>
          ))}
        </div>
      )}
    </div>
  )
}
