import { spawnSync } from 'node:child_process'
import { createServer } from 'node:net'

/** Whether a TCP port can be listened on at that address right now. */
export function isFree(port: number, address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: address, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

export async function freeOnAll(port: number, addresses: readonly string[]): Promise<boolean> {
  for (const address of addresses) if (!(await isFree(port, address))) return false
  return true
}

/** A port the kernel hands out at `address` that is also free on the others, and none of `taken`. */
export async function pickFree(addresses: readonly string[], taken: ReadonlySet<number>): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = await ephemeral(addresses[0] ?? '127.0.0.1')
    if (!taken.has(port) && (await freeOnAll(port, addresses))) return port
  }
  throw new Error(`no free port on ${addresses.join(', ')}`)
}

function ephemeral(address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen({ port: 0, host: address }, () => {
      const bound = server.address()
      server.close(() => (typeof bound === 'object' && bound !== null ? resolve(bound.port) : reject(new Error())))
    })
  })
}

/** Who listens on a TCP port, for example `nginx (pid 812)`; null when that cannot be seen. */
export function holderOf(port: number): string | null {
  const run = spawnSync('ss', ['-Hltnp', `sport = :${port}`], { encoding: 'utf8' })
  const match = /users:\(\("([^"]+)",pid=(\d+)/.exec(run.stdout ?? '')
  return match === null ? null : `${match[1]} (pid ${match[2]})`
}
