import { createHash } from 'node:crypto'

/** SHA-256 of a JSON value, 32 hex digits; keys of objects are sorted first, so their order does not matter. */
export function hashOf(value: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(value, (_key, inner: unknown) => sorted(inner)))
    .digest('hex')
    .slice(0, 32)
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
