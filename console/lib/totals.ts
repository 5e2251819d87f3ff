import type { Totals, Usage } from '../../contract/usage.ts'

/** What a plan counts: everything through either gate, both directions. */
export const bandwidthOf = (totals: Totals): number =>
  totals.egress_in_bytes + totals.egress_out_bytes + totals.gateway_in_bytes + totals.gateway_out_bytes

/** Tokens read and written. Cached ones are part of the input already. */
export const tokensOf = (totals: Totals): number => totals.model_input_tokens + totals.model_output_tokens

/** Every day of the period in order, days without usage as zero, up to `today` (`2026-11-21`) or the period's end. */
export function daysOf(usage: Pick<Usage, 'period' | 'days'>, today: string): { day: string; totals: Totals | null }[] {
  const byDay = new Map(usage.days.map((entry) => [entry.day, entry.totals]))
  const days: { day: string; totals: Totals | null }[] = []
  const end = Date.parse(usage.period.end)
  for (let at = Date.parse(usage.period.start); at < end; at += 86_400_000) {
    const day = new Date(at).toISOString().slice(0, 10)
    if (day > today) break
    days.push({ day, totals: byDay.get(day) ?? null })
  }
  return days
}

/** How much of something is used, 0 to 1; a limit of nothing is used up by anything. */
export const shareOf = (used: number, limit: number): number =>
  limit <= 0 ? (used > 0 ? 1 : 0) : Math.min(1, Math.max(0, used / limit))
