import { useNavigate, useSearch } from '@tanstack/react-router'
import type { z } from 'zod'

/**
 * What a page shows (filters, month), kept in the address. The schema's fields need `.catch`, because anyone can type an
 * address.
 */
export function useFilters<S extends z.ZodType<Record<string, unknown>>>(
  schema: S,
): [z.output<S>, (patch: Partial<z.output<S>>) => void] {
  const search: unknown = useSearch({ strict: false })
  const navigate = useNavigate()
  const filters = schema.parse(search)
  const change = (patch: Partial<z.output<S>>): void => {
    const next = Object.fromEntries(
      Object.entries({ ...filters, ...patch }).filter(([, value]) => value !== undefined && value !== ''),
    )
    void navigate({ to: '.', search: () => next as never, replace: true, resetScroll: false })
  }
  return [filters, change]
}
