export interface Toast {
  id: number
  tone: 'ok' | 'bad'
  title: string
  detail: string | null
  requestId: string | null
}

let toasts: readonly Toast[] = []
let nextId = 1
const watchers = new Set<() => void>()

const change = (next: readonly Toast[]): void => {
  toasts = next
  for (const watcher of watchers) watcher()
}

export const readToasts = (): readonly Toast[] => toasts
export const watchToasts = (watcher: () => void): (() => void) => {
  watchers.add(watcher)
  return () => watchers.delete(watcher)
}
export const dismissToast = (id: number): void => change(toasts.filter((toast) => toast.id !== id))

/** `forMs`: how long it stays; null: until it is dismissed. */
export function pushToast(toast: Omit<Toast, 'id'>, forMs: number | null): void {
  const id = nextId++
  change([...toasts.slice(-2), { ...toast, id }])
  if (forMs !== null) setTimeout(() => dismissToast(id), forMs)
}
