import { useEffect, useRef } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'

export interface Series {
  name: string
  /** A CSS variable with the colour, for example `--accent`. */
  color: string
  values: readonly number[]
}

/**
 * Stacked bars, one per label. Drawn on a canvas, so what it shows is also there as a table for those who cannot see it
 * (see `ChartCard`). `dark` only makes it draw again in the other theme's colours.
 */
export function BarChart(props: {
  labels: readonly string[]
  series: readonly Series[]
  format: (value: number) => string
  /** Values are in powers of two, so the axis is too. */
  binary?: boolean
  dark: boolean
  description: string
}) {
  const { labels, series, format, binary = false, dark, description } = props
  const box = useRef<HTMLDivElement>(null)
  const tip = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const target = box.current
    if (target === null) return undefined
    const plot = new uPlot(
      options({ width: target.clientWidth, labels, series, format, binary, tip: tip.current }),
      stack(labels.length, series),
      target,
    )
    const sizes = new ResizeObserver(() => plot.setSize({ width: target.clientWidth, height }))
    sizes.observe(target)
    return () => {
      sizes.disconnect()
      plot.destroy()
    }
  }, [labels, series, format, binary, dark])
  return (
    <div className="relative">
      <div ref={box} role="img" aria-label={description} className="w-full" style={{ height }} />
      <div
        ref={tip}
        aria-hidden="true"
        className="pointer-events-none absolute top-0 left-0 hidden rounded-lg border border-line bg-raised px-2.5 py-1.5 text-xs whitespace-pre shadow-float tabular"
      />
    </div>
  )
}

const height = 220
const color = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

/** Each series on top of those before it; the topmost first, because uPlot draws in order. */
function stack(length: number, series: readonly Series[]): uPlot.AlignedData {
  const sums = Array.from({ length }, () => 0)
  const layers = series.map((one) => one.values.map((value, index) => (sums[index] = (sums[index] ?? 0) + value)))
  return [Array.from({ length }, (_, index) => index), ...layers.reverse()]
}

function options(given: {
  width: number
  labels: readonly string[]
  series: readonly Series[]
  format: (value: number) => string
  binary: boolean
  tip: HTMLDivElement | null
}): uPlot.Options {
  const { labels, series, format, tip } = given
  const font = `11px ${getComputedStyle(document.body).fontFamily}`
  const axis = { stroke: color('--ink-3'), font, ticks: { show: false } }
  return {
    width: given.width,
    height,
    legend: { show: false },
    padding: [12, 8, 0, 0],
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    scales: {
      x: { time: false, range: () => [-0.6, Math.max(labels.length, 1) - 0.4] },
      y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] },
    },
    axes: [
      {
        ...axis,
        size: 28,
        grid: { show: false },
        splits: () => labels.map((_, index) => index),
        values: (_, splits) =>
          splits.map((at) => (showsLabel(at, labels.length, given.width) ? (labels[at] ?? '') : '')),
      },
      {
        ...axis,
        size: 64,
        ...(given.binary ? { incrs: powersOfTwo } : {}),
        grid: { stroke: color('--line'), width: 1 },
        values: (_, splits) => splits.map((value) => format(value)),
      },
    ],
    series: [
      {},
      ...series.toReversed().map((one) => ({
        label: one.name,
        fill: color(one.color),
        stroke: color(one.color),
        width: 0,
        paths: (uPlot.paths.bars ?? unavailable)({ size: [0.62, 26], radius: 0.18 }),
        points: { show: false },
      })),
    ],
    hooks: { setCursor: [(plot) => showTip(plot, tip, labels, series, format)] },
  }
}

const powersOfTwo = Array.from({ length: 50 }, (_, power) => 2 ** power)

function unavailable(): never {
  throw new Error('this build of uPlot draws no bars')
}

/** Every label where there is room, else the first of each few. */
function showsLabel(at: number, count: number, width: number): boolean {
  const every = Math.max(1, Math.ceil((count * 44) / Math.max(width - 80, 1)))
  return at % every === 0
}

function showTip(
  plot: uPlot,
  tip: HTMLDivElement | null,
  labels: readonly string[],
  series: readonly Series[],
  format: (value: number) => string,
): void {
  if (tip === null) return
  const at = plot.cursor.idx
  const left = plot.cursor.left ?? -1
  const shown = at != null && left >= 0
  tip.classList.toggle('hidden', !shown)
  if (!shown) return
  tip.textContent = [labels[at] ?? '', ...series.map((one) => `${one.name}: ${format(one.values[at] ?? 0)}`)].join('\n')
  const x = plot.bbox.left / devicePixelRatio + left
  tip.style.left = `${Math.min(Math.max(x - tip.offsetWidth / 2, 0), plot.width - tip.offsetWidth)}px`
}
