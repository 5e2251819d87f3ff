import { sql } from 'kysely'
import type { RawBuilder } from 'kysely'
import type { z } from 'zod'
import { SlopboxError } from '../../contract/errors.ts'
import type { PageQuery } from '../../contract/page.ts'

/** Which page a caller asked for. */
export type Paging = z.output<typeof PageQuery>

export interface Page<T> {
  items: T[]
  nextCursor: string | null
}

/**
 * Condition for the page after `cursor` in a list that is newest first: ask for `limit + 1` rows, ordered by both columns
 * descending, and hand them to `toPage`. Throws `invalid_request` for a cursor that is not ours.
 */
export function after(atColumn: string, idColumn: string, cursor: string | undefined): RawBuilder<boolean> {
  if (cursor === undefined) return sql<boolean>`true`
  const { at, id } = decode(cursor)
  return sql<boolean>`(${sql.ref(atColumn)}, ${sql.ref(idColumn)}) < (${at}, ${id})`
}

/** The page out of `limit + 1` rows. The cursor names the last row shown, so rows that come or go later shift nothing. */
export function toPage<R extends { id: string }, T>(
  rows: readonly R[],
  limit: number,
  atOf: (row: R) => Date,
  toItem: (row: R) => T,
): Page<T> {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  const nextCursor = rows.length > limit && last !== undefined ? encode(atOf(last), last.id) : null
  return { items: shown.map(toItem), nextCursor }
}

function encode(at: Date, id: string): string {
  return Buffer.from(`${at.getTime()}.${id}`).toString('base64url')
}

function decode(cursor: string): { at: Date; id: string } {
  const [, at, id] = /^(\d{1,15})\.([a-zA-Z0-9_-]{1,64})$/.exec(Buffer.from(cursor, 'base64url').toString('utf8')) ?? []
  if (at === undefined || id === undefined)
    throw new SlopboxError('invalid_request', 'query.cursor: not a `nextCursor` of this list', {
      hint: 'Leave the cursor out to begin at the first page.',
    })
  return { at: new Date(Number(at)), id }
}
