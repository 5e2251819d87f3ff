import type { z } from 'zod'
import { SlopboxError } from '../contract/errors.ts'

/** `body.name: too long; query: unrecognized key "page"`. Names fields and limits, never the values that were sent. */
export function issuesToText(part: string, issues: readonly z.core.$ZodIssue[]): string {
  return issues
    .slice(0, 10)
    .map((issue) => `${[part, ...issue.path].map(String).join('.')}: ${sentence(issue.message)}`)
    .join('; ')
}

/** Far more than any operation has, far less than the stack holds. */
const maxDepth = 64

/** PostgreSQL stores neither U+0000 nor half of a surrogate pair in text (its documentation, §8.3 and §8.14). */
export function refuseUnstorable(place: string, value: unknown, depth = 0): void {
  if (depth > maxDepth) throw new SlopboxError('invalid_request', `body: nested deeper than ${maxDepth} levels`)
  if (typeof value === 'string') {
    if (!isStorable(value))
      throw new SlopboxError('invalid_request', `${place}: contains U+0000 or half of a surrogate pair`)
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value)) {
      if (!isStorable(key))
        throw new SlopboxError('invalid_request', `${place}: a name in it contains U+0000 or half of a surrogate pair`)
      refuseUnstorable(`${place}.${key}`, inner, depth + 1)
    }
  }
}

function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}

export interface Failure {
  name: string
  message: string
  code: string | null
  stack: string | null
  cause: Failure | null
}

/** An error for the log, with its causes. Only these fields: others (a database's `detail`) may hold what was sent. */
export function describeFailure(error: unknown, depth = 0): Failure {
  if (!(error instanceof Error))
    return { name: typeof error, message: String(error), code: null, stack: null, cause: null }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null
  const cause = error.cause === undefined || depth >= 5 ? null : describeFailure(error.cause, depth + 1)
  return { name: error.name, message: error.message, code, stack: error.stack ?? null, cause }
}

function sentence(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1)
}
