import { SlopboxError } from '../contract/errors.ts'

/**
 * Resolves as `work` does, or rejects with `timeout` when it takes longer. The work itself goes on: the caller decides
 * whether something else may begin meanwhile.
 */
export function withDeadline<T>(what: string, ms: number, work: Promise<T>): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const late = setTimeout(
    () => reject(new SlopboxError('timeout', `${what} takes longer than ${Math.round(ms / 100) / 10} s`)),
    ms,
  )
  late.unref()
  work.then(resolve, reject).finally(() => clearTimeout(late))
  return promise
}
