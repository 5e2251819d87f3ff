import type { Slopbox } from '../../sdk/index.ts'
import type { Peer } from './docker.ts'
import { repeat, type Trials } from './trials.ts'

export interface Measured {
  ours: Trials
  peer: Trials | null
}

const command = ['/bin/true']

/** A command's whole round trip, from the call to its exit, in one sandbox that runs. */
export async function measureExec(
  client: Slopbox,
  { n, concurrency, peer }: { n: number; concurrency: number; peer: Peer | null },
): Promise<Measured> {
  const ours = await withSandbox(client, async (id) => {
    const once = async (): Promise<number> => {
      const from = performance.now()
      const { code } = await client.sandboxes.run(id, command)
      if (code !== 0) throw new Error(`exit code ${code}`)
      return performance.now() - from
    }
    await once()
    return await repeat(n, concurrency, once)
  })
  const theirs = await withPeer(peer, async (id, each) => {
    return await repeat(n, concurrency, () => timed(() => each.exec(id, command)))
  })
  return { ours, peer: theirs }
}

/** Pause and resume, each until the API says that it is so. */
export async function measurePause(
  client: Slopbox,
  { n, peer }: { n: number; peer: Peer | null },
): Promise<{ pause: Measured; resume: Measured }> {
  const ours = await withSandbox(client, (id) =>
    alternate(
      n,
      () => client.sandboxes.pause(id),
      () => client.sandboxes.resume(id),
    ),
  )
  const theirs = await withPeer(peer, (id, each) =>
    alternate(
      n,
      () => each.pause(id),
      () => each.resume(id),
    ),
  )
  return {
    pause: { ours: ours.first, peer: theirs?.first ?? null },
    resume: { ours: ours.second, peer: theirs?.second ?? null },
  }
}

async function alternate(
  n: number,
  first: () => Promise<unknown>,
  second: () => Promise<unknown>,
): Promise<{ first: Trials; second: Trials }> {
  const seconds: number[] = []
  const firsts = await repeat(n, 1, async () => {
    const took = await timed(first)
    seconds.push(await timed(second))
    return took
  })
  const again = await repeat(seconds.length, 1, async (i) => seconds[i] ?? Number.NaN)
  return { first: firsts, second: { ...again, n, successRate: seconds.length / n, failure: firsts.failure } }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now()
  await work()
  return performance.now() - from
}

async function withSandbox<T>(client: Slopbox, use: (id: string) => Promise<T>): Promise<T> {
  const { id } = await client.sandboxes.create({ timeoutMs: 3_600_000, metadata: { bench: 'running' } })
  try {
    return await use(id)
  } finally {
    await client.sandboxes.kill(id)
  }
}

async function withPeer<T>(peer: Peer | null, use: (id: string, peer: Peer) => Promise<T>): Promise<T | null> {
  if (peer === null) return null
  const id = await peer.create()
  try {
    return await use(id, peer)
  } finally {
    await peer.remove(id)
  }
}
