import { lazy, Suspense } from 'react'
import { useDark } from '../lib/theme.ts'
import type { Series } from '../ui/bar-chart.tsx'
import { Card } from '../ui/card.tsx'
import { Skeleton } from '../ui/states.tsx'

const BarChart = lazy(async () => ({ default: (await import('../ui/bar-chart.tsx')).BarChart }))

/** A chart with its title, the sum, a legend, and the same numbers as a table. */
export function ChartCard(props: {
  title: string
  total: string
  labels: readonly string[]
  series: readonly Series[]
  format: (value: number) => string
  binary?: boolean
}) {
  const { title, total, labels, series, format, binary = false } = props
  const dark = useDark()
  return (
    <Card className="flex min-w-0 flex-col gap-4 p-4 sm:p-5">
      <div className="flex flex-wrap items-start justify-between gap-x-4 gap-y-1">
        <div className="flex flex-col">
          <h3 className="text-ink-2">{title}</h3>
          <p className="text-xl font-semibold tracking-tight tabular">{total}</p>
        </div>
        <ul className="flex flex-wrap gap-x-4 gap-y-1 text-xs text-ink-2">
          {series.map((one) => (
            <li key={one.name} className="flex items-center gap-1.5">
              <span className="size-2 rounded-xs" style={{ background: `var(${one.color})` }} />
              {one.name}
            </li>
          ))}
        </ul>
      </div>
      <Suspense fallback={<Skeleton className="h-55 w-full" />}>
        <BarChart
          labels={labels}
          series={series}
          format={format}
          binary={binary}
          dark={dark}
          description={`${title} per day, ${total} in all`}
        />
      </Suspense>
      <details className="text-xs">
        <summary className="w-fit rounded text-ink-3 hover:text-ink">Show as table</summary>
        <div className="mt-2 max-h-64 overflow-auto">
          <table className="w-full text-left">
            <caption className="sr-only">{title} per day</caption>
            <thead className="text-ink-3">
              <tr>
                <th scope="col" className="py-1 pr-4 font-medium">
                  Day
                </th>
                {series.map((one) => (
                  <th key={one.name} scope="col" className="py-1 pr-4 text-right font-medium">
                    {one.name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody className="tabular">
              {labels.map((label, index) => (
                <tr key={label} className="border-t border-line">
                  <th scope="row" className="py-1 pr-4 font-normal">
                    {label}
                  </th>
                  {series.map((one) => (
                    <td key={one.name} className="py-1 pr-4 text-right">
                      {format(one.values[index] ?? 0)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </Card>
  )
}
