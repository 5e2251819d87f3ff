import { createServer, type Server } from 'node:http'
import type { Socket } from 'node:net'
import { TLSSocket, type SecureContext } from 'node:tls'
import type { DenyReason } from '../contract/egress.ts'
import type { Destination } from '../core/egress-policy.ts'
import type { Host } from '../core/host-name.ts'
import { admit, watchPolicy } from './admit.ts'
import { alerts, peekFirstBytes, tlsAlert } from './client-hello.ts'
import { denialHeaders, denialText, statusOf, type Denial } from './denial.ts'
import { DialError } from './dial-guard.ts'
import type { Flow } from './flows.ts'
import type { HttpFront } from './http-front.ts'
import { checkSni } from './http-gate.ts'
import { tame, type Services, type Who } from './services.ts'
import { splice } from './splice.ts'
import type { Route } from './steps/policy.ts'
import { boundSecrets } from './steps/secrets.ts'

export interface TlsFront {
  /** A connection that was redirected from port 443: only the handshake says where it wants to go. */
  direct(socket: Socket, sandboxId: string): Promise<void>
  /** The inside of a tunnel that turned out to be TLS. `flow` is the tunnel's. */
  tunnelled(socket: Socket, who: Who, to: Destination, sni: string | null, flow: Flow): Promise<void>
  close(): void
}

/** Decides by the name in the handshake, then passes the bytes through unread, or looks inside where a secret belongs. */
export function createTlsFront(services: Services, front: HttpFront): TlsFront {
  const denials = new WeakMap<object, Denial>()
  const page = denialServer(denials)

  /** Ends a connection with the page that says why, for clients that trust our CA; others see a failed handshake. */
  const refuse = async (socket: Socket, flow: Flow, reason: DenyReason, host: Host | undefined): Promise<void> => {
    flow.deny(reason, statusOf(reason))
    flow.end()
    if (host === undefined || socket.destroyed) {
      socket.end(tlsAlert(reason === 'sni_missing' ? alerts.unrecognizedName : alerts.handshakeFailure))
      return
    }
    const port = flow.record.port
    const denial: Denial = { reason, host: host.text, port, agentId: flow.policy?.agentId ?? null }
    const tls = await terminate(services, socket, host)
    if (tls === undefined) return
    denials.set(tls, denial)
    page.emit('connection', tls)
  }

  const decided = async (socket: Socket, who: Who, to: Destination, flow: Flow): Promise<void> => {
    const admitted = admit(services, flow, to, true)
    if (!admitted.ok) return await refuse(socket, flow, admitted.reason, to.host)
    const { policy, route } = admitted
    if (boundSecrets(policy, route)?.length === 0) return await passThrough(socket, flow, to, route)
    const tls = await terminate(services, socket, to.host)
    if (tls === undefined) {
      flow.deny('tls_failed', null)
      flow.end()
      return
    }
    // Each request gets its own record. Without any, as when a client takes our certificate badly only after the
    // handshake (TLS 1.3 allows it), this one stands for the connection.
    tls.once('close', () => {
      flow.record.detail['unused'] = true
      flow.end()
    })
    front.take(tls, { ...who, entry: 'inner', tls: true, authority: to, used: () => flow.drop() })
  }

  const passThrough = async (socket: Socket, flow: Flow, to: Destination, route: Route): Promise<void> => {
    const left = new AbortController()
    const leave = (): void => left.abort()
    socket.once('close', leave)
    try {
      // Not `tls`: the handshake is the client's own, byte for byte.
      const upstream = tame(await services.dial({ ...route, tls: false, signal: left.signal }))
      watchPolicy(flow, to, true, route, () => {
        socket.destroy()
        upstream.destroy()
      })
      splice(socket, upstream, { flow, idleMs: services.limits.idleMs })
    } catch (error) {
      if (!(error instanceof DialError)) throw error
      services.log.info({ sandboxId: flow.sandboxId, err: error.message }, 'dial refused')
      await refuse(socket, flow, error.reason, to.host)
    } finally {
      socket.off('close', leave)
    }
  }

  return {
    async direct(socket, sandboxId) {
      const first = await peekFirstBytes(socket, services.limits.firstBytesMs)
      if (first.kind === 'gone') return void socket.destroy()
      const sni = first.kind === 'tls' ? first.sni : null
      const host = checkSni(sni)
      const flow = services.flows.open({ kind: 'tunnel', sandboxId, host: host?.text ?? sni, port: 443 })
      if (first.kind !== 'tls') return await refuse(socket, flow, 'protocol', undefined)
      if (host === undefined) return await refuse(socket, flow, sni === null ? 'sni_missing' : 'bad_host', undefined)
      await decided(socket, { sandboxId, token: null }, { host, port: 443 }, flow)
    },
    async tunnelled(socket, who, to, sni, flow) {
      const host = checkSni(sni)
      // An address has no name to repeat (RFC 6066 §3), so there its absence is right.
      const same = to.host.kind === 'ip' ? sni === null : host?.text === to.host.text
      if (same) return await decided(socket, who, to, flow)
      await refuse(socket, flow, sni === null ? 'sni_missing' : 'sni_mismatch', sni === null ? undefined : to.host)
    },
    close: () => page.closeAllConnections(),
  }
}

/** Answers the handshake with a certificate of our own. Undefined when the client does not accept it. */
async function terminate(services: Services, socket: Socket, host: Host): Promise<TLSSocket | undefined> {
  const secureContext: SecureContext = await services.leafs.contextFor(host)
  if (socket.destroyed) return undefined
  return await new Promise((resolve) => {
    const tls = tame(new TLSSocket(socket, { isServer: true, secureContext, ALPNProtocols: ['http/1.1'] }))
    const fail = (): void => {
      clearTimeout(timer)
      tls.destroy()
      socket.destroy()
      resolve(undefined)
    }
    const timer = setTimeout(fail, services.limits.firstBytesMs)
    // A server-side socket reports errors under this name until a tls.Server has taken it over, which none does here.
    tls.on('_tlsError', fail).on('error', fail).once('close', fail)
    // Nobody reads yet, so an end during the handshake would go unseen.
    const look = (): void => {
      if (tls.readableLength === 0) tls.read()
    }
    tls.on('readable', look).once('end', fail)
    tls.once('secure', () => {
      tls.off('readable', look).off('end', fail)
      clearTimeout(timer)
      resolve(tls)
    })
  })
}

/** Shows the refusal to whatever is asked. */
function denialServer(denials: WeakMap<object, Denial>): Server {
  const server = createServer({ maxHeaderSize: 32 * 1024 }, (req, res) => {
    const denial = denials.get(req.socket)
    res.on('error', () => {})
    if (denial === undefined) return void req.socket.destroy()
    res.writeHead(statusOf(denial.reason), denialHeaders(denial)).end(denialText(denial))
  })
  server.setTimeout(15_000)
  server.on('clientError', (_error, socket) => socket.destroy())
  return server
}
