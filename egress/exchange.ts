import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { DenyReason } from '../contract/egress.ts'
import type { Destination } from '../core/egress-policy.ts'
import type { Flow } from './flows.ts'
import type { CleanRequest } from './http-gate.ts'
import type { Route } from './steps/policy.ts'
import type { OpenedSecret } from './steps/secrets.ts'

/** One request of a client as Node's server hands it over. */
export interface Incoming {
  req: IncomingMessage
  /** The answer; for an upgrade it is made when first asked for, because the socket may never carry one. */
  reply: () => ServerResponse
  /** Set when the client asks for a WebSocket. */
  upgrade: { socket: Socket; head: Buffer } | null
}

/** An admitted request on its way out. */
export interface Exchange extends Incoming {
  flow: Flow
  request: CleanRequest
  /** What the sandbox asked for; `route` is where that goes. */
  to: Destination
  tls: boolean
  route: Route
  secrets: OpenedSecret[]
  /** Ends the flow and tells the client why. */
  refuse: (reason: DenyReason, why?: string) => void
}
