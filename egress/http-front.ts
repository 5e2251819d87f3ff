import { createServer, ServerResponse, type IncomingMessage, type Server } from 'node:http'
import type { Socket } from 'node:net'
import { denialHeaders, denialText, sendDenial, statusOf, type Denial } from './denial.ts'
import type { Incoming } from './exchange.ts'
import { handleRequest } from './handle-request.ts'
import type { ProxyAuth } from './proxy-auth.ts'
import { oncePerSecond, tame, type Origin, type Services, type Who } from './services.ts'

/** Reads HTTP/1.1 from connections that others accepted; what a connection is for stands in its origin. */
export interface HttpFront {
  take(socket: Socket, origin: Origin): void
  /** Handles CONNECT; set by whoever knows tunnels. */
  onConnect: (connect: Connect) => void
  close(): void
}

export interface Connect {
  req: IncomingMessage
  socket: Socket
  head: Buffer
  who: Who
}

const challenge = 'Basic realm="slopbox", charset="UTF-8"'

export function createHttpFront(services: Services, proxyAuth: ProxyAuth): HttpFront {
  const origins = new WeakMap<object, Origin>()
  const mayRecordStranger = oncePerSecond()
  const server = createServer({
    maxHeaderSize: 32 * 1024,
    headersTimeout: 15_000,
    requestTimeout: 0,
    keepAliveTimeout: 30_000,
    connectionsCheckingInterval: 5_000,
    insecureHTTPParser: false,
    requireHostHeader: false,
    rejectNonStandardBodyWrites: true,
    // Any other upgrade (h2c) is ignored, as RFC 9110 §7.8 allows, and the request is an ordinary one.
    shouldUpgradeCallback: (req) => req.headers.upgrade?.toLowerCase() === 'websocket',
  })
  // The server never listens itself; this starts its check of header timeouts.
  server.emit('listening')
  server.setTimeout(services.limits.idleMs)

  /** Who is asking: known from the link, or said by credentials on the central listener. */
  const identify = (req: IncomingMessage, origin: Origin, respond: () => ServerResponse): Who | undefined => {
    const { sandboxId, token } = origin
    if (sandboxId !== null) return { sandboxId, token }
    const from = req.socket.remoteAddress ?? ''
    const answer = proxyAuth(req.headers['proxy-authorization'], from)
    if (answer.ok) {
      origin.identified?.(answer.who)
      return answer.who
    }
    const { status } = answer
    if (mayRecordStranger()) {
      const flow = services.flows.open({ kind: 'http', sandboxId: null, method: req.method ?? null, detail: { from } })
      flow.deny('unidentified', status)
      flow.end()
    }
    const denial: Denial = {
      reason: status === 429 ? 'rate' : 'unidentified',
      host: null,
      port: null,
      agentId: null,
      ...(status === 407 ? { why: 'it needs the user name and token of an agent that is started' } : {}),
    }
    const response = respond()
    response.writeHead(status, {
      ...denialHeaders(denial),
      ...(status === 407 ? { 'Proxy-Authenticate': challenge } : {}),
    })
    response.end(denialText(denial))
    return undefined
  }
  const handle = (incoming: Incoming): void => {
    const origin = origins.get(incoming.req.socket)
    if (origin === undefined) return void incoming.req.socket.destroy()
    origin.used?.()
    const who = identify(incoming.req, origin, incoming.reply)
    if (who === undefined) return
    handleRequest(services, origin, who, incoming).catch((error: unknown) => {
      services.log.error({ err: error, sandboxId: who.sandboxId }, 'request failed unexpectedly')
      incoming.req.socket.destroy()
    })
  }
  const front: HttpFront = {
    take(socket, origin) {
      origins.set(socket, origin)
      server.emit('connection', socket)
    },
    onConnect: ({ socket }) => void socket.destroy(),
    close: () => closeServer(server),
  }
  server.on('request', (req, res) => {
    res.on('error', () => {})
    handle({ req, reply: () => res, upgrade: null })
  })
  server.on('upgrade', (req, stream, head) => {
    const socket = tame(stream as Socket)
    handle({ req, reply: replyOn(req, socket), upgrade: { socket, head } })
  })
  server.on('connect', (req, stream, head) => {
    const socket = tame(stream as Socket)
    const origin = origins.get(socket)
    const reply = replyOn(req, socket)
    if (origin?.entry !== 'proxy') {
      refuseConnect(services, origin, reply())
      return
    }
    const who = identify(req, origin, reply)
    if (who !== undefined) front.onConnect({ req, socket, head, who })
  })
  server.on('clientError', (error: NodeJS.ErrnoException, stream) => {
    rejectGarbage(services, origins.get(stream), error, stream as Socket, mayRecordStranger)
  })
  return front
}

/** An answer on a socket that Node has let go of for an upgrade or CONNECT; made at most once, and it closes. */
function replyOn(req: IncomingMessage, socket: Socket): () => ServerResponse {
  let response: ServerResponse | undefined
  return () => {
    if (response !== undefined) return response
    response = new ServerResponse(req)
    response.on('error', () => {})
    response.shouldKeepAlive = false
    response.once('finish', () => socket.end())
    if (socket.destroyed) response.destroy()
    else response.assignSocket(socket)
    return response
  }
}

function refuseConnect(services: Services, origin: Origin | undefined, response: ServerResponse): void {
  const flow = services.flows.open({ kind: 'tunnel', sandboxId: origin?.sandboxId ?? null, method: 'CONNECT' })
  flow.deny('method_blocked', 403)
  flow.end()
  sendDenial(response, { reason: 'method_blocked', host: null, port: null, agentId: flow.policy?.agentId ?? null })
}

/** Bytes that Node's parser refused. A connection that just went away or stayed silent tried nothing. */
function rejectGarbage(
  services: Services,
  origin: Origin | undefined,
  error: NodeJS.ErrnoException,
  socket: Socket,
  mayRecordStranger: () => boolean,
): void {
  if (!error.code?.startsWith('HPE_') || error.code === 'HPE_INVALID_EOF_STATE' || origin === undefined) {
    socket.destroy()
    return
  }
  origin.used?.()
  const flow = services.flows.open({ kind: 'http', sandboxId: origin.sandboxId, detail: { why: error.code } })
  flow.deny('bad_request', 400)
  if (origin.sandboxId !== null || mayRecordStranger()) flow.end()
  else flow.drop()
  const denial: Denial = { reason: 'bad_request', host: null, port: null, agentId: flow.policy?.agentId ?? null }
  if (socket.writable && !socket.destroyed) socket.end(rawDenial(denial))
  else socket.destroy()
}

/** A refusal as bytes, where there is no response object to write it. */
export function rawDenial(denial: Denial): string {
  const lines = Object.entries(denialHeaders(denial)).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${statusOf(denial.reason)} Refused\r\n${lines.join('')}\r\n${denialText(denial)}`
}

function closeServer(server: Server): void {
  server.closeAllConnections()
  // It never listened, so closing reports an error; what counts is that its timers stop.
  server.close(() => {})
}
