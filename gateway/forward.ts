import { request as httpRequest } from 'node:http'
import type { Agent, ClientRequest, IncomingMessage, RequestOptions, ServerResponse } from 'node:http'
import { pipeline, Transform } from 'node:stream'
import type { Duplex } from 'node:stream'
import { SlopboxError } from '../contract/errors.ts'
import { endToEnd } from '../lib/http-gate.ts'
import type { Header } from '../lib/http-gate.ts'
import { toHeaderObject } from './visit.ts'
import type { Visit } from './visit.ts'

/** The next hop: a server on a Unix socket, or one already connected stream for one request. */
export type Upstream = { socketPath: string; agent: Agent } | { stream: Duplex }

export interface ForwardOptions {
  visit: Visit
  response: ServerResponse
  upstream: Upstream
  /** Exactly what is sent, besides framing. */
  headers: readonly Header[]
  /** Filters the answer's headers; hop-by-hop ones are gone already. */
  answer: (headers: Header[]) => Header[]
  maxBodyBytes: number
}

/**
 * Passes one request on and its answer back, both streamed and framed anew. Resolves when the answer is through; rejects
 * with a SlopboxError when there is none, and with the cause when it broke off.
 */
export function forward(options: ForwardOptions): Promise<void> {
  const { visit, response, upstream } = options
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const call = httpRequest({
    ...connection(upstream),
    method: visit.request.method,
    path: visit.request.url,
    headers: toHeaderObject([...options.headers, ...bodyFraming(visit.request)]),
    setHost: false,
    signal: visit.gone,
  })
  let failure: SlopboxError | undefined
  call.on('error', (cause) =>
    reject(failure ?? new SlopboxError('upstream_failed', 'no answer from the other side', { cause })),
  )
  call.on('upgrade', (_response, socket) => {
    socket.destroy()
    reject(new SlopboxError('upstream_failed', 'the other side changed the protocol without being asked'))
  })
  call.on('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, answerHeaders(options, answer))
    response.flushHeaders()
    pipeline(answer, response, (error) => (error ? reject(error) : resolve()))
  })
  sendBody(options, call, (error) => (failure = error))
  return promise
}

function connection(upstream: Upstream): RequestOptions {
  if ('stream' in upstream) return { createConnection: () => upstream.stream }
  return { socketPath: upstream.socketPath, agent: upstream.agent }
}

function hasBody(request: IncomingMessage): boolean {
  return request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0
}

/** `content-length` is end-to-end and among the headers already; a chunked body is chunked anew. */
function bodyFraming(request: IncomingMessage): Header[] {
  return request.headers['transfer-encoding'] === undefined ? [] : [['transfer-encoding', 'chunked']]
}

function sendBody(options: ForwardOptions, call: ClientRequest, onFailure: (error: SlopboxError) => void): void {
  const { request } = options.visit
  if (!hasBody(request)) return void call.end()
  let bytes = 0
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      if (bytes <= options.maxBodyBytes) return done(null, chunk)
      const error = tooLarge(options.maxBodyBytes)
      onFailure(error)
      done(error)
    },
  })
  // Not `pipeline`: that would destroy the client's connection, over which the refusal still has to go.
  counted.on('error', () => {
    request.unpipe(counted)
    call.destroy()
  })
  request.pipe(counted).pipe(call)
}

/** Throws before anything is dialled when the declared body is too long. */
export function assertBodySize(visit: Visit, maxBytes: number): void {
  if (Number(visit.request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes)
}

const tooLarge = (maxBytes: number): SlopboxError =>
  new SlopboxError('too_large', `request body is longer than ${maxBytes} bytes`)

function answerHeaders(options: ForwardOptions, answer: IncomingMessage): string[] {
  return options.answer(endToEnd(answer.rawHeaders)).flatMap(([name, value]) => [name, value])
}
