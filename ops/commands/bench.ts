import { benchClient } from '../bench/client.ts'
import { dockerPeer, type Peer } from '../bench/docker.ts'
import { measureExec, measurePause, type Measured } from '../bench/running.ts'
import { measureStart } from '../bench/start.ts'
import { line, tableOf, type Line } from '../bench/trials.ts'
import { measureTti } from '../bench/tti.ts'
import { dataDirectory } from '../paths.ts'
import { OpsError, sayOnStderr, type Say } from '../say.ts'
import { readFlags } from '../up/settings.ts'

export const benchUsage =
  'slopbox bench start|tti|exec|pause [--n COUNT] [--concurrency COUNT] [--cold] [--peer docker] [--data DIR] [--json]'

const options = {
  n: { type: 'string', short: 'n' },
  concurrency: { type: 'string' },
  cold: { type: 'boolean' },
  peer: { type: 'string' },
  data: { type: 'string' },
  json: { type: 'boolean' },
} as const

interface Run {
  /** Null: not given. */
  n: number | null
  concurrency: number
  data: string
  peer: Peer | null
  say: Say
}

/** For people a table, for programs a line of JSON. */
interface Report {
  table: string
  line: object
}

const benches: Record<string, { peer: boolean; run: (client: BenchSlopbox, run: Run) => Promise<Report> }> = {
  start: { peer: false, run: start },
  tti: { peer: true, run: tti },
  exec: { peer: true, run: exec },
  pause: { peer: true, run: pause },
}
type BenchSlopbox = ReturnType<typeof benchClient>['client']

/** `slopbox bench …`: measures the installation that runs, through its public API over TLS. */
export async function bench(args: readonly string[]): Promise<number> {
  const [what = '', ...rest] = args
  const chosen = Object.hasOwn(benches, what) ? benches[what] : undefined
  if (chosen === undefined)
    throw new OpsError(`there is no benchmark ${what === '' ? 'without a name' : what}`, `Usage: ${benchUsage}`)
  const flags = readFlags(rest, options, benchUsage)
  const say = sayOnStderr()
  if (flags.peer !== undefined && (flags.peer !== 'docker' || !chosen.peer))
    throw new OpsError(`bench ${what} has no peer ${flags.peer}`, `Usage: ${benchUsage}`)
  if (flags.cold === true) say('nothing is kept warm in this version: cold and as shipped are the same')
  const data = dataDirectory(flags.data)
  await using connection = benchClient(data)
  await using peer = flags.peer === undefined ? null : await dockerPeer(data, say)
  const report = await chosen.run(connection.client, {
    n: flags.n === undefined ? null : count('n', flags.n),
    concurrency: flags.concurrency === undefined ? 1 : count('concurrency', flags.concurrency),
    data,
    peer,
    say,
  })
  process.stdout.write(flags.json === true ? `${JSON.stringify(report.line)}\n` : report.table)
  return 0
}

function count(name: string, text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text))
    throw new OpsError(`--${name} ${text} is not a count from 1 to 99999`, `Usage: ${benchUsage}`)
  return Number(text)
}

async function start(client: BenchSlopbox, { n, say }: Run): Promise<Report> {
  const figures = await measureStart(client, n ?? 5, say)
  const stages = Object.entries(figures.stagesMs).map(([name, ms]) => ({ name: `  ${name}`, ms }))
  const table = tableOf([
    { name: 'agent healthy', ms: figures.totalMs, successRate: figures.successRate },
    { name: 'its process started', ms: figures.ownMs },
    ...stages,
  ])
  return { table, line: { ...figures } }
}

async function tti(client: BenchSlopbox, { n, concurrency, peer }: Run): Promise<Report> {
  const figures = await measureTti(client, { n: n ?? 100, concurrency, peer })
  const report = reportOf('tti', 'first output', figures, peer)
  return { ...report, table: report.table + tableOf(figures.stages) }
}

async function exec(client: BenchSlopbox, { n, concurrency, peer }: Run): Promise<Report> {
  return reportOf('exec', 'exec', await measureExec(client, { n: n ?? 100, concurrency, peer }), peer)
}

async function pause(client: BenchSlopbox, { n, peer }: Run): Promise<Report> {
  const figures = await measurePause(client, { n: n ?? 100, peer })
  const [paused, resumed] = [
    reportOf('pause', 'pause', figures.pause, peer),
    reportOf('resume', 'resume', figures.resume, peer),
  ]
  const { p50Ms, p95Ms, p99Ms, peerP50Ms, peerRatio } = resumed.line
  const both = { ...paused.line, resume: { p50Ms, p95Ms, p99Ms, peerP50Ms, peerRatio } }
  return { table: paused.table + resumed.table, line: both }
}

function reportOf(
  what: string,
  name: string,
  { ours, peer: trials }: Measured,
  peer: Peer | null,
): Report & { line: Line } {
  const theirs = peer === null || trials === null ? null : { name: peer.name, trials }
  const rows = [
    { name, ms: ours.ms, successRate: ours.successRate },
    ...(theirs === null ? [] : [{ name: theirs.name, ms: theirs.trials.ms, successRate: theirs.trials.successRate }]),
  ]
  const told = line(what, ours, theirs)
  const ratio = told.peerRatio === null ? '' : `${told.peerRatio} times faster than ${theirs?.name}\n`
  const failed = ours.failure === null ? '' : `the first failure: ${ours.failure}\n`
  return { table: tableOf(rows) + ratio + failed, line: told }
}
