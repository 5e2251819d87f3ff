import { useSyncExternalStore } from 'react'
import { cn } from './cn.ts'
import { Icon } from './icons.tsx'
import { InlineText } from './markdown.tsx'
import { dismissToast, readToasts, watchToasts } from './toast-store.ts'

/** The place where toasts appear. The live region exists from the start, so that screen readers announce what enters it. */
export function Toaster() {
  const toasts = useSyncExternalStore(watchToasts, readToasts)
  return (
    <section
      aria-label="Notifications"
      aria-live="polite"
      className="pointer-events-none fixed inset-x-4 bottom-4 z-50 flex flex-col items-end gap-2 sm:left-auto sm:w-96"
    >
      {toasts.map((toast) => (
        <div
          key={toast.id}
          role={toast.tone === 'bad' ? 'alert' : 'status'}
          className="pointer-events-auto flex w-full animate-rise items-start gap-3 rounded-xl border border-line bg-raised p-3.5 shadow-float"
        >
          <Icon
            name={toast.tone === 'bad' ? 'alert' : 'check'}
            className={cn('mt-0.5 size-4', toast.tone === 'bad' ? 'text-bad' : 'text-ok')}
          />
          <div className="flex min-w-0 flex-1 flex-col gap-0.5">
            <p className="font-medium break-words">{toast.title}</p>
            {toast.detail !== null && (
              <p className="break-words text-ink-2">
                <InlineText text={toast.detail} />
              </p>
            )}
            {toast.requestId !== null && <p className="font-mono text-xs text-ink-3">Request {toast.requestId}</p>}
          </div>
          <button
            type="button"
            aria-label="Dismiss"
            onClick={() => dismissToast(toast.id)}
            className="rounded-md p-1 text-ink-3 hover:bg-sunken hover:text-ink"
          >
            <Icon name="close" className="size-3.5" />
          </button>
        </div>
      ))}
    </section>
  )
}
