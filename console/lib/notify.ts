import { pushToast } from '../ui/toast-store.ts'
import { tell } from './errors.ts'

export const showDone = (title: string, detail: string | null = null): void =>
  pushToast({ tone: 'ok', title, detail, requestId: null }, 4_000)

/** Errors stay until they are dismissed: they have to be read, and their request id copied. */
export function showError(error: unknown, title?: string): void {
  const { message, hint, requestId } = tell(error)
  const detail = [title === undefined ? null : message, hint].filter((part) => part !== null).join('. ')
  pushToast({ tone: 'bad', title: title ?? message, detail: detail === '' ? null : detail, requestId }, null)
}
