import { setTimeout as sleep } from 'node:timers/promises'
import { SlopboxError } from '../../contract/errors.ts'
import type { Sandbox, Slopbox } from '../../sdk/index.ts'
import type { Peer } from './docker.ts'
import { summarize, type Summary } from './statistics.ts'
import { repeat, type Trials } from './trials.ts'

export interface TtiFigures {
  ours: Trials
  peer: Trials | null
  /** Where the time of ours went, in this order: what control and the host say of themselves, then the client's view. */
  stages: { name: string; ms: Summary }[]
}

const command = ['/bin/echo', 'here']

/** From asking for a sandbox to the first output of the first command in it. The peer does the same after each of ours. */
export async function measureTti(
  client: Slopbox,
  options: { n: number; concurrency: number; peer: Peer | null },
): Promise<TtiFigures> {
  const { n, concurrency, peer } = options
  const marks: Record<string, number[]> = {}
  const note = (name: string, ms: number | undefined): void => {
    if (ms !== undefined) (marks[name] ??= []).push(ms)
  }
  const peers: Promise<number>[] = []
  const ours = await repeat(n, concurrency, async () => {
    const from = performance.now()
    const sandbox = await client.sandboxes.create({ timeoutMs: 600_000, metadata: { bench: 'tti' } })
    try {
      const created = performance.now()
      const over = await firstOutput(client, sandbox)
      noteStages(sandbox, note)
      note('answered', created - from)
      note('first output', over - created)
      return over - from
    } finally {
      await client.sandboxes.kill(sandbox.id)
      // The next one does not share the machine with the teardown of this one.
      if (concurrency === 1) await gone(client, sandbox.id)
      if (peer !== null && concurrency === 1) peers.push(Promise.resolve(await peerOnce(peer)))
    }
  })
  const inTurn = peers.slice()
  const theirs =
    peer === null
      ? null
      : concurrency === 1
        ? await repeat(inTurn.length, 1, (i) => inTurn[i] ?? Promise.reject(new Error('not measured')))
        : await repeat(n, concurrency, () => peerOnce(peer))
  const stages = Object.entries(marks).map(([name, ms]) => ({ name, ms: summarize(ms) }))
  return { ours, peer: theirs, stages }
}

/** When it came. Read to the end, since leaving earlier would cost the next call its connection. */
async function firstOutput(client: Slopbox, { id }: Sandbox): Promise<number> {
  let at: number | undefined
  for await (const event of client.sandboxes.exec(id, { command: [...command] })) {
    if (event.type === 'stdout') at ??= performance.now()
    if (event.type === 'error') throw new SlopboxError('upstream_failed', event.message)
    if (event.type === 'exit' && at === undefined)
      throw new SlopboxError('upstream_failed', `it printed nothing: exit code ${event.code}`)
  }
  if (at !== undefined) return at
  throw new SlopboxError('upstream_failed', 'the stream ended without output')
}

/** Each as the time since the stage before. */
function noteStages({ timings }: Sandbox, note: (name: string, ms: number | undefined) => void): void {
  let before = 0
  for (const stage of ['placed', 'template', 'created', 'booted'] as const) {
    const at = timings[`${stage}Ms`]
    if (at === undefined) continue
    note(stage, at - before)
    before = at
  }
}

async function peerOnce(peer: Peer): Promise<number> {
  const from = performance.now()
  const id = await peer.create()
  try {
    await peer.exec(id, command)
    return performance.now() - from
  } finally {
    await peer.remove(id)
  }
}

async function gone(client: Slopbox, id: string): Promise<void> {
  for (;;) {
    try {
      await client.sandboxes.get(id)
    } catch (error) {
      if (error instanceof SlopboxError && error.code === 'not_found') return
      throw error
    }
    await sleep(5)
  }
}
