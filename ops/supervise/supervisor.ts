import type { Say } from '../say.ts'
import { Child, type ChildSpec } from './child.ts'
import { type RunningProcess, startTimeOf, writeTable } from './process-table.ts'

/**
 * Starts groups of processes one after another (those of a group side by side), keeps them running, and stops them in
 * reverse. When one does not come up, those already started are stopped and its failure is thrown.
 */
export async function supervise(
  groups: readonly (readonly ChildSpec[])[],
  tableFile: string,
  say: Say,
  stop: AbortSignal,
): Promise<AsyncDisposable> {
  const children: Child[] = []
  const record = (): void => writeTable(tableFile, children.flatMap(describe))
  const disposeAll = async (): Promise<void> => {
    for (const group of groups.toReversed()) {
      const names = new Set(group.map((spec) => spec.name))
      await Promise.all(children.filter((child) => names.has(child.name)).map((child) => child[Symbol.asyncDispose]()))
    }
    writeTable(tableFile, [])
  }
  const stopped = Promise.withResolvers<never>()
  stopped.promise.catch(() => {})
  const onStop = (): void => stopped.reject(stop.reason)
  stop.addEventListener('abort', onStop, { once: true })
  try {
    for (const group of groups) {
      stop.throwIfAborted()
      const started = group.map((spec) => {
        const child: Child = new Child(spec, {
          onStart: () => queueMicrotask(record),
          onCrash: (what, delayMs) => say(`${spec.name} ${what}; starting it again in ${delayMs / 1000} s`),
        })
        children.push(child)
        return child
      })
      record()
      await Promise.race([Promise.all(started.map((child) => child.ready())), stopped.promise])
    }
  } catch (error) {
    await disposeAll()
    throw error
  } finally {
    stop.removeEventListener('abort', onStop)
  }
  return { [Symbol.asyncDispose]: disposeAll }
}

function describe(child: Child): RunningProcess[] {
  const startTime = child.pid === null ? null : startTimeOf(child.pid)
  if (child.pid === null || startTime === null) return []
  return [{ name: child.name, pid: child.pid, startTime, restarts: child.restarts }]
}
