import { meters } from '../contract/usage.ts'
import type { Meter, Totals } from '../contract/usage.ts'

/**
 * What a reading adds to the one known for the same source, sandbox, meter and epoch. A repeat adds nothing, and neither
 * does an older one that arrives late: counters only grow.
 */
export function newUse(known: number | undefined, reading: number): number {
  return Math.max(0, reading - (known ?? 0))
}

export function noTotals(): Totals {
  return Object.fromEntries(meters.map((meter) => [meter, 0])) as Totals
}

export interface UsageRow {
  day: string
  meter: Meter
  total: number
}

/** Rows of single meters as totals of the whole and of each day that has any, oldest day first. */
export function sumUsage(rows: readonly UsageRow[]): { totals: Totals; days: { day: string; totals: Totals }[] } {
  const totals = noTotals()
  const days = new Map<string, Totals>()
  for (const { day, meter, total } of rows) {
    const ofDay = days.get(day) ?? noTotals()
    days.set(day, ofDay)
    ofDay[meter] += total
    totals[meter] += total
  }
  return {
    totals,
    days: [...days].map(([day, ofDay]) => ({ day, totals: ofDay })).toSorted((a, b) => (a.day < b.day ? -1 : 1)),
  }
}

/** What counts against a plan's bandwidth: everything that crossed the sandbox's border, both ways. */
export function bandwidthBytes(totals: Totals): number {
  return totals.egress_in_bytes + totals.egress_out_bytes + totals.gateway_in_bytes + totals.gateway_out_bytes
}

/** A usage period: a calendar month in UTC, its end exclusive. `month` is `2026-11`. */
export function usagePeriod(month: string): { start: Date; end: Date } {
  const year = Number(month.slice(0, 4))
  const index = Number(month.slice(5, 7)) - 1
  return { start: new Date(Date.UTC(year, index)), end: new Date(Date.UTC(year, index + 1)) }
}

/** The month, `2026-11`, and day, `2026-11-21`, of an instant in UTC. */
export const monthOf = (at: Date): string => at.toISOString().slice(0, 7)
export const dayOf = (at: Date): string => at.toISOString().slice(0, 10)
