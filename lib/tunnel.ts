/**
 * HTTP/2 with the roles turned round: the side that connected serves, the side that was connected to asks. Both halves
 * take a connection on which nothing of HTTP/2 has been spoken yet (RFC 9113 §3.3, prior knowledge).
 */
import * as http2 from 'node:http2'
import { Duplex } from 'node:stream'
import type { Readable } from 'node:stream'
import { errorFromWire, SlopboxError } from '../contract/errors.ts'
import { loop } from './loop.ts'

/** Stream windows let one busy stream fill a long link; the session's lets several do so at once (RFC 9113 §5.2). */
const streamWindowBytes = 1024 * 1024
const sessionWindowBytes = 16 * 1024 * 1024
const keepAliveMs = 15_000
const settings: http2.Settings = { initialWindowSize: streamWindowBytes, enablePush: false }

export type TunnelHandler = (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => Promise<void>

export interface TunnelOptions {
  /** What broke a stream after its answer had begun, or the whole connection. */
  onError?: (error: unknown) => void
  /** Milliseconds between pings; an unanswered one ends the tunnel before the next is due. */
  pingMs?: number
}

/** One end of a tunnel. */
export interface TunnelEnd extends AsyncDisposable {
  /** Settles when the connection is gone, for whatever reason; never rejects. */
  readonly closed: Promise<void>
}

/**
 * Serves the streams the other side opens. A handler that throws before it answered sends the error as JSON with its
 * status; afterwards the stream is reset.
 */
export function serveTunnel(connection: Duplex, handler: TunnelHandler, options: TunnelOptions = {}): TunnelEnd {
  const socket = new Unblocking(connection)
  const session = http2.performServerHandshake(socket, {
    settings,
    maxSessionMemory: 256,
    // The other side is one of ours: a burst of cancelled streams is people closing tabs, not an attack.
    streamResetBurst: 10_000,
    streamResetRate: 1_000,
  })
  session.on('stream', (stream, headers) => {
    stream.on('error', () => {})
    handler(stream, headers).catch((error: unknown) => {
      options.onError?.(error)
      refuse(stream, error)
    })
  })
  return keep(session, socket, options)
}

/**
 * Takes every write at once. Node's HTTP/2 stops reading while a write of its own is under way, so two ends with full
 * buffers would wait for one another for ever; nothing unsent here can grow beyond the peer's flow-control windows.
 */
class Unblocking extends Duplex {
  readonly #inner: Duplex

  constructor(inner: Duplex) {
    super({ allowHalfOpen: true })
    this.#inner = inner
    inner.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) inner.pause()
    })
    inner.on('end', () => this.push(null))
    inner.on('error', (error) => this.destroy(error))
    inner.on('close', () => this.destroy())
    inner.pause()
  }

  override _read(): void {
    this.#inner.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#inner.write(chunk)
    done()
  }

  override _final(done: () => void): void {
    this.#inner.end()
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#inner.destroy()
    done(error)
  }
}

function refuse(stream: http2.ServerHttp2Stream, error: unknown): void {
  if (stream.destroyed || stream.closed) return
  if (stream.headersSent) return stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR)
  const known = error instanceof SlopboxError ? error : new SlopboxError('internal', 'the host could not answer')
  stream.respond({ ':status': known.status, 'content-type': 'application/json' })
  stream.end(JSON.stringify(known.toWire()))
  // What the caller still sends is not read; without this its flow-control window would stay shut until it gives up.
  stream.resume()
}

/** The asking end. */
export interface Tunnel extends TunnelEnd {
  /**
   * Opens a stream, sends `preface` if given, and resolves with both directions once the other side answered 200. Throws
   * the other side's SlopboxError, or `unavailable` when the tunnel is gone. Aborting the signal resets the stream, also later.
   */
  open(
    headers: http2.OutgoingHttpHeaders,
    options: { signal: AbortSignal; preface?: Uint8Array },
  ): Promise<http2.ClientHttp2Stream>
}

export function openTunnel(connection: Duplex, options: TunnelOptions = {}): Tunnel {
  const socket = new Unblocking(connection)
  const session = http2.connect('http://tunnel', {
    createConnection: () => socket,
    settings,
    maxSessionMemory: 256,
    peerMaxConcurrentStreams: 10_000,
  })
  const end = keep(session, socket, options)
  return {
    ...end,
    async open(headers, { signal, preface }) {
      if (session.closed || session.destroyed) throw new SlopboxError('unavailable', 'tunnel is closed')
      signal.throwIfAborted()
      const stream = session.request(headers, { endStream: false, signal })
      stream.on('error', () => {})
      if (preface !== undefined) stream.write(preface)
      const status = await answered(stream)
      if (status !== 200) throw await failure(stream, status)
      return stream
    },
  }
}

function answered(stream: http2.ClientHttp2Stream): Promise<number> {
  return new Promise((resolve, reject) => {
    stream.once('response', (headers) => resolve(headers[':status'] ?? 0))
    stream.once('error', (cause) =>
      reject(cause.name === 'AbortError' ? cause : new SlopboxError('unavailable', 'tunnel broke', { cause })),
    )
    stream.once('close', () => reject(new SlopboxError('unavailable', 'stream closed without an answer')))
  })
}

const maxErrorBytes = 64 * 1024

async function failure(stream: http2.ClientHttp2Stream, status: number): Promise<SlopboxError> {
  const text = await readShort(stream)
  stream.close()
  try {
    const known = errorFromWire(JSON.parse(text))
    if (known !== undefined) return known
  } catch {
    // Not JSON: reported below by its status.
  }
  return new SlopboxError('unavailable', `unreadable answer with status ${status} through the tunnel`)
}

async function readShort(from: Readable): Promise<string> {
  let text = ''
  for await (const chunk of from as AsyncIterable<Buffer>) {
    text += chunk.toString('utf8')
    if (text.length > maxErrorBytes) break
  }
  return text
}

function keep(session: http2.Http2Session, socket: Duplex, options: TunnelOptions): TunnelEnd {
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  const grow = (): void => session.setLocalWindowSize(sessionWindowBytes)
  // A client session has no handle before its connection is up; a duplex handed in counts as connected in the next tick.
  if (session.type === http2.constants.NGHTTP2_SESSION_SERVER) grow()
  else session.once('connect', grow)
  const pings = loop({
    everyMs: options.pingMs ?? keepAliveMs,
    tick: async () => {
      if (!session.connecting && !session.destroyed && !(await ping(session, options.pingMs ?? keepAliveMs)))
        session.destroy(new SlopboxError('unavailable', 'the other end of the tunnel does not answer'))
    },
    onError: (error) => options.onError?.(error),
  })
  session.on('error', (error) => options.onError?.(error))
  // The library hears of it by itself only where it reads a descriptor of its own.
  for (const over of ['end', 'close']) socket.once(over, () => session.destroy())
  session.once('close', () => {
    socket.destroy()
    pings[Symbol.asyncDispose]().then(resolve, resolve)
  })
  return {
    closed,
    async [Symbol.asyncDispose]() {
      session.destroy()
      await closed
    },
  }
}

/** False when no answer came in time. True also when the session ended meanwhile: its own close event tells that. */
function ping(session: http2.Http2Session, withinMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve(false), withinMs)
    const settle = (): void => {
      clearTimeout(late)
      resolve(true)
    }
    session.once('close', settle)
    const sent = session.ping(() => {
      session.off('close', settle)
      settle()
    })
    if (!sent) settle()
  })
}
