import type { Socket } from 'node:net'
import type { Meter } from '../contract/usage.ts'
import type { Host } from '../core/host-name.ts'
import type { Counters } from '../lib/counters.ts'
import type { Log } from '../lib/log.ts'
import type { Dial } from './dial-guard.ts'
import type { Flows } from './flows.ts'
import type { Identify } from './identify.ts'
import type { Leafs } from './leafs.ts'
import type { OpenSecret } from './open-secret.ts'
import type { Policies } from './policies.ts'
import type { Audit } from './steps/audit.ts'

/** What every listener works with; built once in `main.ts`. */
export interface Services {
  policies: Policies
  identify: Identify
  flows: Flows
  audit: Audit
  counters: Counters<Meter>
  dial: Dial
  leafs: Leafs
  openSecret: OpenSecret
  log: Log
  limits: Limits
}

export interface Limits {
  /** Open client connections of one sandbox. */
  connectionsPerSandbox: number
  /** Open connections to the central listener, all together: strangers can use up these and no more. */
  centralConnections: number
  /** Requests and tunnels of one sandbox under way; pipelining could start any number on one connection. */
  flowsPerSandbox: number
  /** Until the first bytes of a tunnel or a ClientHello are complete. */
  firstBytesMs: number
  /** Without a byte in either direction. */
  idleMs: number
  /** DNS questions of one sandbox in a second. */
  dnsPerSecond: number
}

export const defaultLimits: Limits = {
  connectionsPerSandbox: 512,
  centralConnections: 2_048,
  flowsPerSandbox: 1_024,
  firstBytesMs: 10_000,
  idleMs: 600_000,
  dnsPerSecond: 200,
}

/** Who a connection is from. */
export interface Who {
  sandboxId: string
  /** SHA-256 (hex) of the proxy token that proved it, which has to hold; null: its link says so. */
  token: string | null
}

/** Where a client connection came from, kept beside its socket. */
export interface Origin {
  /** Null on the central listener, where every request says by its credentials who it is. */
  sandboxId: string | null
  /** The proxy token (SHA-256, hex) of the tunnel this is the inside of; null: its link says who it is. */
  token: string | null
  /** How the connection speaks: straight to a host, to the proxy, or within a tunnel or an interception. */
  entry: 'direct' | 'proxy' | 'inner'
  tls: boolean
  /** What the tunnel or the handshake was opened for; requests inside may not name anything else. */
  authority: { host: Host; port: number } | null
  /** Called with the first request on the connection. */
  used?: () => void
  /** Called on the central listener with every request whose credentials are right. */
  identified?: (who: Who) => void
}

/** An error on a socket is the peer's doing; it ends that connection and nothing else. */
export function tame<S extends Socket>(socket: S): S {
  // Pipelined requests each listen for the end of their connection; how many there are is limited elsewhere.
  return socket.setMaxListeners(0).on('error', () => socket.destroy())
}

/** Says when a stranger may be recorded: a flood of them must not fill the audit, and one record a second tells as much. */
export function oncePerSecond(): () => boolean {
  let until = 0
  return () => {
    const now = performance.now()
    if (now < until) return false
    until = now + 1_000
    return true
  }
}
