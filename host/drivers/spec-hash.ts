import { createHash } from 'node:crypto'
import type { DriverSpec } from '../driver.ts'

/**
 * `Observed.specHash` of a sandbox made from this spec: equal content gives an equal hash, whatever the order of keys.
 * Files are left out, because `writeFiles` replaces them while the sandbox lives.
 */
export function specHash(spec: DriverSpec): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted({ ...spec, files: [] })))
    .digest('hex')
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  )
}
