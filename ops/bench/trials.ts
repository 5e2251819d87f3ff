import { summarize, type Summary } from './statistics.ts'

/** What many repetitions of one thing showed. */
export interface Trials {
  n: number
  concurrency: number
  successRate: number
  /** Of those that succeeded; null when none did. */
  ms: Summary | null
  /** Why the first one failed that did. */
  failure: string | null
}

/** Runs `once` `n` times, `concurrency` at a time; it resolves with the milliseconds that count. */
export async function repeat(n: number, concurrency: number, once: (i: number) => Promise<number>): Promise<Trials> {
  const took: number[] = []
  let failure: string | null = null
  let next = 0
  const work = async (): Promise<void> => {
    while (next < n) {
      const i = next++
      try {
        took.push(await once(i))
      } catch (error) {
        failure ??= error instanceof Error ? error.message : String(error)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, n) }, work))
  return {
    n,
    concurrency,
    successRate: took.length / n,
    ms: took.length === 0 ? null : summarize(took),
    failure,
  }
}

/** What a benchmark prints for programs; milliseconds to two places, null where nothing was measured. */
export interface Line {
  bench: string
  n: number
  concurrency: number
  p50Ms: number | null
  p95Ms: number | null
  p99Ms: number | null
  successRate: number
  failure: string | null
  peer: string | null
  peerP50Ms: number | null
  /** Above one: so many times faster than the peer. */
  peerRatio: number | null
}

/** Figures of ours, and of the peer when one was measured in the same run. */
export function line(what: string, ours: Trials, peer: { name: string; trials: Trials } | null): Line {
  const peerP50 = peer?.trials.ms?.p50 ?? null
  return {
    bench: what,
    n: ours.n,
    concurrency: ours.concurrency,
    p50Ms: round(ours.ms?.p50),
    p95Ms: round(ours.ms?.p95),
    p99Ms: round(ours.ms?.p99),
    successRate: ours.successRate,
    failure: ours.failure,
    peer: peer?.name ?? null,
    peerP50Ms: round(peerP50),
    peerRatio: peerP50 === null || ours.ms === null ? null : round(peerP50 / ours.ms.p50),
  }
}

const round = (value: number | null | undefined): number | null =>
  value === null || value === undefined ? null : Math.round(value * 100) / 100

/** Rows of figures for people, in milliseconds. */
export function tableOf(rows: readonly { name: string; ms: Summary | null; successRate?: number }[]): string {
  const cells = rows.map(({ name, ms, successRate }) => [
    name,
    ...[ms?.p50, ms?.p95, ms?.p99, ms?.min, ms?.max].map((value) => (value === undefined ? '-' : value.toFixed(1))),
    successRate === undefined ? '' : `${(successRate * 100).toFixed(1)} %`,
  ])
  const all = [['ms', 'p50', 'p95', 'p99', 'min', 'max', 'success'], ...cells]
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? []
  const pad = (cell: string, column: number): string =>
    column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)
  return `${all.map((row) => row.map(pad).join('  ').trimEnd()).join('\n')}\n`
}
