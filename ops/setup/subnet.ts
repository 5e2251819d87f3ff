import { spawnSync } from 'node:child_process'
import { OpsError } from '../say.ts'

export interface RouteLine {
  /** CIDR or address, as `ip` prints it. */
  destination: string
  device: string
}

/** Every IPv4 range this machine has a route to, all tables, except default routes. */
export function machineRoutes(): RouteLine[] {
  const run = spawnSync('ip', ['-4', '-j', 'route', 'show', 'table', 'all'], { encoding: 'utf8' })
  if (run.status !== 0) throw new OpsError(`\`ip route\` failed: ${run.stderr ?? run.error?.message}`)
  const lines = JSON.parse(run.stdout === '' ? '[]' : run.stdout) as { dst?: string; dev?: string }[]
  return lines.flatMap(({ dst, dev }) =>
    dst === undefined || dst === 'default' ? [] : [{ destination: dst, device: dev ?? '' }],
  )
}

/** Whether two IPv4 ranges have an address in common. */
export function overlaps(a: string, b: string): boolean {
  const [first, second] = [range(a), range(b)]
  return first.from <= second.to && second.from <= first.to
}

function range(cidr: string): { from: number; to: number } {
  const [address = '', bits = '32'] = cidr.split('/')
  const parts = address.split('.').map(Number)
  const value = [0, 1, 2, 3].reduce((sum, index) => sum * 256 + (parts[index] ?? 0), 0)
  const size = 2 ** (32 - Number(bits))
  const from = Math.floor(value / size) * size
  return { from, to: from + size - 1 }
}

/**
 * A /16 for the sandboxes' links that nothing on this machine uses: first of 10.128–10.254 from a starting point that
 * differs between installations, then of 172.16–172.31.
 */
export function chooseSubnet(used: readonly string[], start: number): string {
  const tens = Array.from({ length: 127 }, (_, index) => `10.${128 + ((start + index) % 127)}.0.0/16`)
  const others = Array.from({ length: 16 }, (_, index) => `172.${16 + index}.0.0/16`)
  const free = [...tens, ...others].find((candidate) => !used.some((range) => overlaps(candidate, range)))
  if (free === undefined) {
    throw new OpsError(
      "no private /16 range is free of this machine's routes",
      'Look at `ip route show table all`; sandboxes need one of 10.128–10.254 or 172.16–172.31.',
    )
  }
  return free
}
