import { useEffect, useId, useRef, type ReactNode } from 'react'
import { Icon } from './icons.tsx'
import { cn } from './cn.ts'

/**
 * A modal on the platform's own `<dialog>`: it traps focus, closes on Escape and gives focus back to what opened it
 * (WHATWG HTML §4.11.4). Its content exists only while it is open, so forms in it start fresh.
 */
export function Dialog(props: {
  open: boolean
  onClose: () => void
  title: string
  help?: ReactNode
  wide?: boolean
  children: ReactNode
}) {
  const { open, onClose, title, help, wide = false, children } = props
  const ref = useRef<HTMLDialogElement>(null)
  const id = useId()
  useEffect(() => {
    const dialog = ref.current
    if (open && dialog?.open === false) {
      dialog.showModal()
      // The first thing to fill in; without one the first of the actions, which is the harmless one.
      dialog.querySelector<HTMLElement>('input, textarea, select, [data-actions] button')?.focus()
    }
    if (!open && dialog?.open === true) dialog.close()
  }, [open])
  return (
    // eslint-disable-next-line jsx-a11y/click-events-have-key-events, jsx-a11y/no-noninteractive-element-interactions -- Escape closes it from the keyboard; this is the click on the backdrop
    <dialog
      ref={ref}
      aria-labelledby={`${id}t`}
      aria-describedby={help === undefined ? undefined : `${id}h`}
      onClose={onClose}
      onClick={(event) => {
        if (event.target === ref.current) onClose()
      }}
      className={cn(
        'w-[calc(100vw-2rem)] rounded-2xl border border-line bg-raised p-0 shadow-float backdrop:bg-black/40',
        'open:animate-rise dark:backdrop:bg-black/60',
        wide ? 'max-w-2xl' : 'max-w-md',
      )}
    >
      {open && (
        <div className="flex flex-col gap-4 p-5 sm:p-6">
          <div className="flex items-start justify-between gap-4">
            <div className="flex flex-col gap-1">
              <h2 id={`${id}t`} className="text-base font-semibold tracking-tight">
                {title}
              </h2>
              {help !== undefined && (
                <div id={`${id}h`} className="text-ink-2">
                  {help}
                </div>
              )}
            </div>
            <button
              type="button"
              aria-label="Close"
              onClick={onClose}
              className="-mt-1 -mr-1 rounded-md p-1.5 text-ink-3 hover:bg-sunken hover:text-ink"
            >
              <Icon name="close" />
            </button>
          </div>
          {children}
        </div>
      )}
    </dialog>
  )
}

export const DialogActions = ({ children }: { children: ReactNode }) => (
  <div
    data-actions
    className="flex flex-col-reverse gap-2 pt-1 sm:flex-row sm:justify-end [&>*]:max-sm:w-full [&>span>button]:max-sm:w-full"
  >
    {children}
  </div>
)
