import type { Isolation, Size } from '../contract/sandboxes.ts'

export interface PlacementNeed {
  isolation: Isolation
  size: Size
  /** Runs a supervised process of its own, as agents do. */
  busy: boolean
  /** Where its volumes are; it can run nowhere else. */
  boundTo: string | null
}

export interface PlacementHost {
  id: string
  name: string
  reachable: boolean
  isolations: readonly Isolation[]
  cpus: number
  memoryMiB: number
  /** Sum of `reservedMiB` of what is already there. */
  reservedMiB: number
}

export type Placement = { host: string } | { reason: string }

/**
 * Memory that a sandbox is expected to use. Limits are ceilings: an idle sandbox for commands needs a few MiB of its
 * hundreds, an agent's process most of its limit, so only the latter is counted in full.
 */
export function reservedMiB(size: Size, busy: boolean): number {
  return busy ? size.memoryMiB : Math.max(16, Math.ceil(size.memoryMiB / 16))
}

/** The fitting host with the most room left, or a reason a person can act on. Ties go to the smaller id. */
export function place(need: PlacementNeed, hosts: readonly PlacementHost[]): Placement {
  if (hosts.length === 0) return { reason: 'no host has joined yet' }
  const candidates = need.boundTo === null ? hosts : hosts.filter((host) => host.id === need.boundTo)
  if (candidates.length === 0) return { reason: `the host ${need.boundTo} with its workspace is gone` }
  const reachable = candidates.filter((host) => host.reachable)
  if (reachable.length === 0)
    return {
      reason:
        need.boundTo === null
          ? 'no host answers at the moment'
          : `the host ${candidates[0]?.name} with its workspace does not answer at the moment`,
    }
  const isolated = reachable.filter((host) => host.isolations.includes(need.isolation))
  if (isolated.length === 0) return { reason: `no host offers the isolation ${need.isolation}` }
  return roomiest(need, isolated)
}

function roomiest(need: PlacementNeed, hosts: readonly PlacementHost[]): Placement {
  const wanted = reservedMiB(need.size, need.busy)
  const fitting = hosts.filter((host) => need.size.cpus <= host.cpus && need.size.memoryMiB <= host.memoryMiB)
  if (fitting.length === 0) {
    const largest = hosts.reduce((a, b) => (b.memoryMiB > a.memoryMiB ? b : a))
    return {
      reason: `${need.size.cpus} CPUs and ${need.size.memoryMiB} MiB fit on no host; the largest has ${largest.cpus} CPUs and ${largest.memoryMiB} MiB`,
    }
  }
  const free = (host: PlacementHost): number => host.memoryMiB - host.reservedMiB
  const best = fitting.reduce((a, b) => {
    if (free(b) !== free(a)) return free(b) > free(a) ? b : a
    return b.id < a.id ? b : a
  })
  if (free(best) >= wanted) return { host: best.id }
  return { reason: `${wanted} MiB of memory wanted, ${Math.max(0, free(best))} MiB free on the emptiest host` }
}
