import { createServer as createHttp } from 'node:http'
import type { IncomingMessage, RequestListener, Server as HttpServer, ServerOptions } from 'node:http'
import { createServer as createHttps } from 'node:https'
import type { Server as HttpsServer } from 'node:https'
import { createServer as createTcp } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Log } from '../lib/log.ts'
import type { ServerCertificate } from './certificates.ts'

export interface ListenerDeps {
  addresses: readonly { host: string; port: number }[]
  certificate: ServerCertificate
  onRequest: (secure: boolean) => RequestListener
  onUpgrade: (secure: boolean) => (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  log: Log
}

export interface Listener extends AsyncDisposable {
  /** Ports in the order of the addresses; a port 0 has become a real one. */
  ports: readonly number[]
  renew(certificate: ServerCertificate): void
}

/** A connection that says nothing, or stalls in its first lines, is closed after this long. */
const firstByteMs = 10_000
const maxPerAddress = 2_000
const maxConnections = 20_000

const limits: ServerOptions = {
  maxHeaderSize: 16_384,
  headersTimeout: 10_000,
  // An upload to a port may take a day; how many connections wait is bounded by their number.
  requestTimeout: 24 * 3_600_000,
  connectionsCheckingInterval: 2_000,
  keepAliveTimeout: 30_000,
  requireHostHeader: true,
  insecureHTTPParser: false,
  // An offer of another protocol may be passed over (RFC 9110 §7.8); only WebSocket is taken up.
  shouldUpgradeCallback: (request) => request.headers.upgrade?.toLowerCase() === 'websocket',
}

/** Listens on every address; each speaks HTTP/1.1 and, when the first byte begins a TLS handshake, HTTPS. */
export async function listen(deps: ListenerDeps): Promise<Listener> {
  const sockets = new Set<Socket>()
  const plain = createHttp(limits, deps.onRequest(false))
  const secure = createHttps(
    {
      ...limits,
      ...deps.certificate,
      handshakeTimeout: firstByteMs,
      minVersion: 'TLSv1.2',
      ALPNProtocols: ['http/1.1'],
    },
    deps.onRequest(true),
  )
  plain.on('upgrade', deps.onUpgrade(false))
  secure.on('upgrade', deps.onUpgrade(true))
  secure.on('tlsClientError', (error: Error) => deps.log.debug({ err: error }, 'TLS handshake'))
  // Neither listens itself, but this event is what starts their watch over slow requests.
  for (const server of [plain, secure]) server.emit('listening')

  const accept = admission(sockets)
  const servers: Server[] = []
  const stop = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy()
    await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))))
    for (const server of [plain, secure]) stopWatch(server)
  }
  try {
    for (const address of deps.addresses) {
      const server = createTcp({ allowHalfOpen: true, noDelay: true }, (socket) => {
        if (accept(socket)) tellApart(socket, plain, secure)
      })
      servers.push(server)
      await bind(server, address)
    }
  } catch (error) {
    await stop()
    throw error
  }
  return {
    ports: servers.map((server) => (server.address() as AddressInfo).port),
    renew: (certificate) => secure.setSecureContext({ ...certificate, minVersion: 'TLSv1.2' }),
    [Symbol.asyncDispose]: stop,
  }
}

/** Listens, or throws naming the address and what is in the way. */
export function bind(server: Server, address: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why = cause.code === 'EADDRINUSE' ? 'is taken by another program' : (cause.code ?? cause.message)
      reject(new Error(`cannot listen on ${address.host}:${address.port}: ${why}`, { cause }))
    })
    server.listen({ ...address, ipv6Only: address.host.includes(':') }, resolve)
  })
}

/** Ends the interval that `listening` began; the error that it was not listening is the expected one. */
function stopWatch(server: HttpServer | HttpsServer): void {
  server.close(() => {})
  server.closeAllConnections()
}

function admission(sockets: Set<Socket>): (socket: Socket) => boolean {
  const perAddress = new Map<string, number>()
  return (socket) => {
    const address = socket.remoteAddress ?? ''
    const count = (perAddress.get(address) ?? 0) + 1
    if (count > maxPerAddress || sockets.size >= maxConnections) {
      socket.destroy()
      return false
    }
    perAddress.set(address, count)
    sockets.add(socket)
    socket.once('close', () => {
      sockets.delete(socket)
      const left = (perAddress.get(address) ?? 1) - 1
      if (left === 0) perAddress.delete(address)
      else perAddress.set(address, left)
    })
    return true
  }
}

/** The first byte of a TLS record of type handshake (RFC 8446 §5.1); no HTTP method begins with it. */
const handshake = 0x16

function tellApart(socket: Socket, plain: HttpServer, secure: HttpsServer): void {
  const late = setTimeout(() => socket.destroy(), firstByteMs)
  const fail = (): void => void socket.destroy()
  socket.once('error', fail)
  socket.once('close', () => clearTimeout(late))
  socket.once('end', fail)
  socket.once('data', (chunk: Buffer) => {
    clearTimeout(late)
    socket.pause()
    socket.off('end', fail)
    socket.unshift(chunk)
    if (chunk[0] === handshake) {
      // TLS takes what was put back out of the paused stream by itself; flowing, it would be lost.
      secure.emit('connection', socket)
    } else {
      plain.emit('connection', socket)
      socket.resume()
    }
    socket.off('error', fail)
  })
}
