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
  flowsPerSandbox: 1_024,
  firstBytesMs: 10_000,
  idleMs: 600_000,
  dnsPerSecond: 200,
}

/** Where a client connection came from, kept beside its socket. */
export interface Origin {
  /** Null on the central listener, where every request says by its credentials who it is. */
  sandboxId: string | null
  /** How the connection speaks: straight to a host, to the proxy, or within a tunnel or an interception. */
  entry: 'direct' | 'proxy' | 'inner'
  tls: boolean
  /** What the tunnel or the handshake was opened for; requests inside may not name anything else. */
  authority: { host: Host; port: number } | null
  /** Called with the first request on the connection. */
  used?: () => void
}

/** An error on a socket is the peer's doing; it ends that connection and nothing else. */
export function tame<S extends Socket>(socket: S): S {
  // Pipelined requests each listen for the end of their connection; how many there are is limited elsewhere.
  return socket.setMaxListeners(0).on('error', () => socket.destroy())
}
