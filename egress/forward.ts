import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { hostInAuthority } from '../core/host-name.ts'
import { watchPolicy } from './admit.ts'
import { DialError } from './dial-guard.ts'
import type { Exchange } from './exchange.ts'
import type { Flow } from './flows.ts'
import { askForUsage } from './model-usage.ts'
import { relay } from './relay.ts'
import { tame, type Services } from './services.ts'
import { placeSecrets, type Headers } from './steps/secrets.ts'
import { joinWebSocket } from './websocket.ts'

/** Bodies of model requests are read whole to add the question for usage; larger ones are refused. */
const maxModelBody = 32 * 1024 * 1024
/** A model may think for long before its first byte. */
const answerMs = 600_000

/** Steps 5 to 7: dial, pass on both ways while counting, record. Never rejects: every failure becomes an answer. */
export async function forward(services: Services, exchange: Exchange): Promise<void> {
  const { req, flow, route } = exchange
  const left = new AbortController()
  const client = exchange.upgrade?.socket ?? req.socket
  const sockets: Socket[] = [client]
  const leave = (): void => {
    left.abort()
    for (const socket of sockets) socket.destroy()
  }
  client.once('close', leave)
  watchPolicy(flow, exchange.to, exchange.tls, route, () => {
    for (const socket of sockets) socket.destroy()
  })
  try {
    const body = await modelBody(exchange)
    if (body === 'too large') {
      exchange.refuse('bad_request', 'the body of a model request is larger than 32 MiB')
      return
    }
    const socket = tame(await services.dial({ ...route, signal: left.signal }))
    sockets.push(socket)
    // Revoked while dialling.
    if (client.destroyed) socket.destroy()
    await send(services, exchange, socket, body)
  } catch (error) {
    if (left.signal.aborted || client.destroyed || req.errored !== null) flow.record.detail['broken'] = 'client'
    else if (error instanceof DialError) {
      services.log.info({ sandboxId: flow.sandboxId, err: error.message }, 'dial refused')
      exchange.refuse(error.reason)
    } else {
      services.log.warn({ sandboxId: flow.sandboxId, err: error }, 'exchange failed')
      exchange.refuse('upstream_failed')
    }
  } finally {
    client.off('close', leave)
    flow.end()
  }
}

/** Writes the request and waits for the answer to be passed on whole. Rejects while nothing was answered yet. */
function send(services: Services, exchange: Exchange, socket: Socket, body: Buffer | null): Promise<void> {
  const { flow, request, route, req, upgrade } = exchange
  const path = route.pathPrefix + request.path
  const headers = outgoing(exchange, body)
  flow.pass('out', `${request.method} ${path} HTTP/1.1\r\n\r\n`.length + sizeOf(headers))
  if (route.alias?.modelApi != null && request.method === 'POST') flow.modelRequest()
  return new Promise((resolve, reject) => {
    const call = httpRequest({
      createConnection: () => socket,
      method: request.method,
      path,
      headers: headers.flat(),
      setHost: false,
      maxHeaderSize: 64 * 1024,
      joinDuplicateHeaders: false,
    })
    let answered = false
    const timer = setTimeout(() => call.destroy(new Error(`no answer in ${answerMs} ms`)), answerMs)
    const give = (error: Error): void => {
      clearTimeout(timer)
      if (answered) return
      socket.destroy()
      reject(error)
    }
    call.on('error', give)
    call.once('close', () => give(new Error('closed before it answered')))
    call.once('response', (answer: IncomingMessage) => {
      answered = true
      clearTimeout(timer)
      relay(exchange, answer).then(resolve, reject)
    })
    call.once('upgrade', (answer: IncomingMessage, upstream: Socket, head: Buffer) => {
      clearTimeout(timer)
      answered = upgrade !== null
      if (upgrade === null) return give(new Error('switched protocols unasked'))
      joinWebSocket(services, exchange, { answer, upstream, head }).then(resolve, reject)
    })
    if (body !== null) {
      flow.pass('out', body.length)
      call.end(body)
    } else if (upgrade !== null || request.bodyBytes === 0) call.end()
    else pump(req, call, flow)
  })
}

function outgoing({ request, route, secrets, upgrade }: Exchange, body: Buffer | null): Headers {
  const usual = route.tls ? 443 : 80
  const host = hostInAuthority(route.host) + (route.port === usual ? '' : `:${route.port}`)
  // Bodies that are looked into must not come compressed.
  const readable = secrets.length > 0 || route.alias?.modelApi != null
  const drop = new Set(['content-length', ...(readable ? ['accept-encoding', 'sec-websocket-extensions'] : [])])
  const headers: Headers = [['Host', host], ...request.headers.filter(([name]) => !drop.has(name.toLowerCase()))]
  if (readable) headers.push(['Accept-Encoding', 'identity'])
  const length = body?.length ?? request.bodyBytes
  if (length === null) headers.push(['Transfer-Encoding', 'chunked'])
  else if (length > 0 || ['POST', 'PUT', 'PATCH'].includes(request.method))
    headers.push(['Content-Length', String(length)])
  if (upgrade === null) headers.push(['Connection', 'close'])
  else headers.push(['Connection', 'Upgrade'], ['Upgrade', 'websocket'])
  return placeSecrets(headers, secrets)
}

const sizeOf = (headers: Headers): number =>
  headers.reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0)

/** The client's body, counted before it is passed on, as fast as the other side takes it. */
function pump(req: IncomingMessage, call: ClientRequest, flow: Flow): void {
  req.on('data', (chunk: Buffer) => {
    flow.pass('out', chunk.length)
    if (!call.write(chunk)) req.pause()
  })
  call.on('drain', () => req.resume())
  // Trailers are dropped: they end here.
  req.once('end', () => call.end())
  req.once('error', () => call.destroy())
}

async function modelBody({ req, request, route, upgrade }: Exchange): Promise<Buffer | null | 'too large'> {
  const api = route.alias?.modelApi ?? null
  if (api === null || upgrade !== null || request.method !== 'POST' || request.bodyBytes === 0) return null
  if ((request.bodyBytes ?? 0) > maxModelBody) return 'too large'
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of req as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxModelBody) return 'too large'
    chunks.push(chunk)
  }
  return askForUsage(api, Buffer.concat(chunks))
}
