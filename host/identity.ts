import { mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { writeFileAtomic } from '../lib/atomic-file.ts'

/** The id control gave to this host: known from the first answer on, and from a file after that. */
export interface Identity {
  current(): string | undefined
  set(id: string): void
  /** Resolves when the id is known; rejects when the signal aborts first. */
  known(signal: AbortSignal): Promise<string>
}

export function openIdentity(path: string): Identity {
  mkdirSync(dirname(path), { recursive: true })
  let id = readId(path)
  const first = Promise.withResolvers<string>()
  if (id !== undefined) first.resolve(id)
  return {
    current: () => id,
    set(next) {
      if (id === next) return
      writeFileAtomic(path, `${next}\n`)
      id = next
      first.resolve(next)
    },
    async known(signal) {
      const stopped = Promise.withResolvers<never>()
      const onAbort = (): void => stopped.reject(signal.reason)
      signal.addEventListener('abort', onAbort, { once: true })
      if (signal.aborted) onAbort()
      try {
        await Promise.race([first.promise, stopped.promise])
      } finally {
        signal.removeEventListener('abort', onAbort)
      }
      return id ?? (await first.promise)
    },
  }
}

function readId(path: string): string | undefined {
  try {
    const text = readFileSync(path, 'utf8').trim()
    return text === '' ? undefined : text
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
