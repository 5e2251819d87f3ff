import { setTimeout as sleep } from 'node:timers/promises'
import { bombs, diskBombs } from './bombs.ts'
import { kernelProbes } from './kernel-probes.ts'
import { machineProbes } from './machine-probes.ts'
import { powerProbes } from './power-probes.ts'
import { judge, perl, type Case, type Cell, type Outside, type Probe } from './probe.ts'

/** Everything that takes no more than its share, so that it may also run where nothing is isolated. */
export const quietProbes: readonly Probe[] = [...machineProbes, ...powerProbes, ...kernelProbes]
const patienceMs = 60_000

/** Runs every probe in `prober`, one after another, the bombs last; during those the neighbour must go on answering. */
export async function runProbes(
  prober: Cell,
  neighbour: Cell,
  outside: Outside,
  note: (found: Case) => void,
): Promise<Case[]> {
  const cases: Case[] = []
  for (const probe of [...quietProbes, ...bombs]) {
    const found = await runProbe(probe, prober, outside, probe.bomb === true ? neighbour : null)
    note(found)
    cases.push(found)
  }
  for (const probe of diskBombs) {
    const found = await runDiskBomb(probe, prober, outside, neighbour)
    note(found)
    cases.push(found)
  }
  return cases
}

export async function runProbe(probe: Probe, prober: Cell, outside: Outside, neighbour: Cell | null): Promise<Case> {
  const about = { isolation: prober.name, probe: probe.name, tried: probe.tried }
  const run = (script: string, user: string): ReturnType<Cell['run']> =>
    prober.run(perl(script), { user, timeoutMs: patienceMs })
  if (probe.before !== undefined) {
    const prepared = await run(probe.before, 'root')
    if (prepared.code !== 0)
      return { ...about, held: false, happened: `the probe could not begin: ${prepared.stderr.trim().slice(0, 120)}` }
  }
  const under = run(probe.script(outside), probe.user ?? 'root')
  const [answer, calm] = await Promise.all([under, neighbour === null ? null : answersDuring(neighbour, under)])
  const verdict = judge(answer)
  if (calm === null || !verdict.held) return { ...about, ...verdict }
  return { ...about, held: calm.held, happened: `${verdict.happened}; ${calm.happened}` }
}

/** The sandbox may be stopped for it, if it is told why. */
async function runDiskBomb(probe: Probe, prober: Cell, outside: Outside, neighbour: Cell): Promise<Case> {
  const about = { isolation: prober.name, probe: probe.name, tried: probe.tried }
  if (!(await prober.look()).running) await prober.restart()
  const under = prober.run(perl(probe.script(outside)), { user: 'root', timeoutMs: patienceMs })
  // When the sandbox is stopped the connection may end before the command's end is told.
  const [answer, calm] = await Promise.all([under.catch(() => null), answersDuring(neighbour, under)])
  const verdict = answer === null ? null : judge(answer)
  if (!calm.held) return { ...about, ...calm }
  if (verdict?.held === true || answer?.stdout.includes('BROKEN') === true)
    return { ...about, held: verdict?.held === true, happened: `${verdict?.happened}; ${calm.happened}` }
  const until = performance.now() + patienceMs
  let seen = await prober.look()
  while (seen.running && performance.now() < until) {
    await sleep(200)
    seen = await prober.look()
  }
  const held = !seen.running && /disk/.test(seen.reason ?? '')
  return {
    ...about,
    held,
    happened: `${seen.running ? 'it runs on' : (seen.reason ?? 'stopped without a reason')}; ${calm.happened}`,
  }
}

/** Asks the neighbour for an answer again and again until the bomb is over. */
async function answersDuring(neighbour: Cell, bomb: Promise<unknown>): Promise<{ held: boolean; happened: string }> {
  let over = false
  const end = bomb.then(
    () => void (over = true),
    () => void (over = true),
  )
  let slowestMs = 0
  while (!over) {
    const asked = performance.now()
    const { code, stderr } = await neighbour.run(['true'], { user: 'root', timeoutMs: 20_000 })
    if (code !== 0) return { held: false, happened: `the neighbour answered ${code}: ${stderr.trim()}` }
    slowestMs = Math.max(slowestMs, performance.now() - asked)
    await Promise.race([end, new Promise((resolve) => setTimeout(resolve, 200))])
  }
  return { held: true, happened: `the neighbour answered within ${Math.ceil(slowestMs)} ms` }
}
