import { useMemo } from 'react'
import { z } from 'zod'
import type { Totals, Usage } from '../../contract/usage.ts'
import { addMonths, formatBytes, formatCount, formatDuration, formatMonth } from '../lib/format.ts'
import { useNow } from '../lib/now.ts'
import { useFilters } from '../lib/search.ts'
import { bandwidthOf, daysOf, tokensOf } from '../lib/totals.ts'
import type { Series } from '../ui/bar-chart.tsx'
import { Button } from '../ui/button.tsx'
import { Card } from '../ui/card.tsx'
import { Skeleton } from '../ui/states.tsx'
import { ChartCard } from './chart-card.tsx'

const Month = z.object({
  month: z
    .string()
    .regex(/^\d{4}-(0[1-9]|1[0-2])$/)
    .optional()
    .catch(undefined),
})
const thisMonth = (): string => new Date().toISOString().slice(0, 7)

/** The month of the address; undefined is the current one. */
export function useMonth(): [string | undefined, (month: string | undefined) => void] {
  const [filters, setFilters] = useFilters(Month)
  return [filters.month, (month) => setFilters({ month: month === thisMonth() ? undefined : month })]
}

export function MonthPicker(props: { month: string | undefined; onChange: (month: string | undefined) => void }) {
  const month = props.month ?? thisMonth()
  const go = (by: number): void => props.onChange(addMonths(month, by))
  return (
    <div role="group" aria-label="Month" className="flex items-center gap-1">
      <Button size="icon" variant="ghost" icon="left" aria-label="Month before" onClick={() => go(-1)} />
      <span aria-live="polite" className="min-w-32 text-center font-medium">
        {formatMonth(month)}
      </span>
      <Button
        size="icon"
        variant="ghost"
        icon="right"
        aria-label="Next month"
        onClick={() => go(1)}
        why={month >= thisMonth() ? 'This is the current month' : undefined}
      />
    </div>
  )
}

/** Sums and days of a usage period, of a team or an agent. */
export function UsageView({ usage }: { usage: Usage }) {
  const { totals } = usage
  const today = new Date(useNow(60_000)).toISOString().slice(0, 10)
  const days = useMemo(() => daysOf(usage, today), [usage, today])
  const labels = useMemo(() => days.map(({ day }) => `${Number(day.slice(8))}.`), [days])
  const traffic = useMemo(
    () => [
      series('Agent and world', '--chart-1', days, (t) => t.egress_in_bytes + t.egress_out_bytes),
      series('You and agent', '--chart-2', days, (t) => t.gateway_in_bytes + t.gateway_out_bytes),
    ],
    [days],
  )
  const tokens = useMemo(
    () => [
      series('Input', '--chart-1', days, (t) => t.model_input_tokens),
      series('Output', '--chart-2', days, (t) => t.model_output_tokens),
    ],
    [days],
  )
  return (
    <div className="flex flex-col gap-4">
      <Figures totals={totals} />
      <div className="grid gap-4 lg:grid-cols-2">
        <ChartCard
          title="Traffic"
          total={formatBytes(bandwidthOf(totals))}
          labels={labels}
          series={traffic}
          binary
          format={formatBytes}
        />
        <ChartCard
          title="Model tokens"
          total={formatCount(tokensOf(totals))}
          labels={labels}
          series={tokens}
          format={formatCount}
        />
      </div>
    </div>
  )
}

const series = (
  name: string,
  color: string,
  days: ReturnType<typeof daysOf>,
  pick: (totals: Totals) => number,
): Series => ({ name, color, values: days.map((entry) => (entry.totals === null ? 0 : pick(entry.totals))) })

function Figures({ totals }: { totals: Totals }) {
  const gibHours = totals.memory_mib_s / 1024 / 3600
  const figures: readonly (readonly [string, string, string])[] = [
    [
      'Model requests',
      formatCount(totals.model_requests),
      `${formatCount(totals.model_cached_tokens)} tokens from cache`,
    ],
    ['CPU time', formatDuration(totals.cpu_ms), 'on the host, all cores'],
    ['Memory', `${gibHours.toFixed(gibHours < 10 ? 2 : 0)} GiB h`, 'memory used over time'],
    ['Sent out', formatBytes(totals.egress_out_bytes), `${formatBytes(totals.egress_in_bytes)} received`],
  ]
  return (
    <Card>
      <dl className="grid grid-cols-2 divide-line max-lg:[&>*:nth-child(n+3)]:border-t lg:grid-cols-4 lg:divide-x">
        {figures.map(([name, value, note]) => (
          <div key={name} className="flex flex-col border-line px-4 py-4 sm:px-5">
            <dt className="text-ink-2">{name}</dt>
            <dd className="text-lg font-semibold tracking-tight tabular">{value}</dd>
            <dd className="text-xs text-ink-3">{note}</dd>
          </div>
        ))}
      </dl>
    </Card>
  )
}

export const UsageSkeleton = () => (
  <div role="status" aria-label="Loading" className="flex flex-col gap-4">
    <Skeleton className="h-24 w-full rounded-xl" />
    <div className="grid gap-4 lg:grid-cols-2">
      <Skeleton className="h-80 rounded-xl" />
      <Skeleton className="h-80 rounded-xl" />
    </div>
  </div>
)
