import { createHash, timingSafeEqual } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { createServer, STATUS_CODES } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { chmod, rm } from 'node:fs/promises'
import { pipeline } from 'node:stream'
import type { Duplex } from 'node:stream'
import { SlopboxError } from '../contract/errors.ts'
import { HostId, SandboxId } from '../contract/ids.ts'
import { tunnelProtocol } from '../contract/tunnel.ts'
import type { Log } from '../lib/log.ts'
import { openTunnel } from '../lib/tunnel.ts'
import type { Tunnel } from '../lib/tunnel.ts'
import type { Dialler, OpenStream } from './dial.ts'

export const dialProtocol = 'slopbox-dial'

/** The hosts connected here. A host that connects again replaces its old connection. */
export class Tunnels implements AsyncDisposable {
  readonly #byHost = new Map<string, Tunnel>()
  readonly #arrivals = new EventEmitter().setMaxListeners(0)
  readonly #patienceMs: number
  readonly #log: Log

  /** `patienceMs`: how long a stream waits for a host that is not connected, as after a restart of either end. */
  constructor(log: Log, patienceMs: number) {
    this.#log = log
    this.#patienceMs = patienceMs
  }

  readonly open: OpenStream = async (hostId, headers, options) => {
    const tunnel = this.#byHost.get(hostId) ?? (await this.#arrival(hostId, options.signal))
    return await tunnel.open(headers, options)
  }

  async #arrival(hostId: string, caller: AbortSignal): Promise<Tunnel> {
    const signal = AbortSignal.any([caller, AbortSignal.timeout(this.#patienceMs)])
    try {
      const [tunnel] = (await once(this.#arrivals, hostId, { signal })) as [Tunnel]
      return tunnel
    } catch (cause) {
      caller.throwIfAborted()
      throw new SlopboxError('unavailable', `host ${hostId} has no tunnel to this gateway`, {
        hint: 'Wait a moment; `slopbox status` tells whether its host process is up.',
        cause,
      })
    }
  }

  accept(hostId: string, socket: Duplex): void {
    const tunnel = openTunnel(socket, {
      onError: (error) => this.#log.warn({ err: error, hostId }, 'tunnel failed'),
    })
    const old = this.#byHost.get(hostId)
    this.#byHost.set(hostId, tunnel)
    void old?.[Symbol.asyncDispose]()
    this.#arrivals.emit(hostId, tunnel)
    this.#log.info({ hostId }, 'host connected')
    tunnel.closed
      .then(() => {
        if (this.#byHost.get(hostId) === tunnel) this.#byHost.delete(hostId)
        this.#log.info({ hostId }, 'host disconnected')
      })
      .catch((error: unknown) => this.#log.error({ err: error, hostId }, 'tunnel end'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#byHost.values()].map((tunnel) => tunnel[Symbol.asyncDispose]()))
  }
}

export interface InternalDeps {
  socketPath: string
  /** What hosts must present. */
  hostToken: string
  /** What control must present. */
  controlToken: string
  tunnels: Tunnels
  dialler: Dialler
  log: Log
}

const dialDeadlineMs = 15_000

/** The private Unix socket: hosts bring their tunnels here, control connects to ports of sandboxes through it. */
export async function listenInternal(deps: InternalDeps): Promise<AsyncDisposable> {
  const server = createServer({ headersTimeout: 10_000, requestTimeout: 10_000 }, (_request, response) => {
    response.writeHead(404).end()
  })
  const sockets = new Set<Duplex>()
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    if (head.length > 0) socket.unshift(head)
    upgrade(deps, request, socket).catch((error: unknown) => refuse(socket, error, deps.log))
  })
  // A file left by a killed process would make listening fail; the supervisor runs one gateway per socket.
  await rm(deps.socketPath, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(deps.socketPath, resolve)
  })
  await chmod(deps.socketPath, 0o660)
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

async function upgrade(deps: InternalDeps, request: IncomingMessage, socket: Duplex): Promise<void> {
  const protocol = request.headers.upgrade
  if (request.url === '/internal/tunnel' && protocol === tunnelProtocol) {
    assertToken(request, deps.hostToken)
    const hostId = readHeader(request, 'x-slopbox-host', (value) => HostId.safeParse(value).success)
    switchProtocols(socket, tunnelProtocol)
    return deps.tunnels.accept(hostId, socket)
  }
  if (request.url === '/internal/dial' && protocol === dialProtocol) {
    assertToken(request, deps.controlToken)
    return await dial(deps, request, socket)
  }
  throw new SlopboxError('not_found', `no such upgrade: ${request.url?.slice(0, 100)}`)
}

async function dial(deps: InternalDeps, request: IncomingMessage, socket: Duplex): Promise<void> {
  const hostId = readHeader(request, 'x-slopbox-host', (value) => HostId.safeParse(value).success)
  const sandboxId = readHeader(request, 'x-slopbox-sandbox', (value) => SandboxId.safeParse(value).success)
  const port = Number(readHeader(request, 'x-slopbox-port', (value) => /^[1-9]\d{0,4}$/.test(value)))
  const gone = new AbortController()
  socket.once('close', () => gone.abort())
  const late = setTimeout(() => gone.abort(), dialDeadlineMs)
  const remote = await deps.dialler
    .port({ hostId, sandboxId }, port, gone.signal)
    .catch((error: unknown) => {
      throw gone.signal.aborted ? new SlopboxError('timeout', `port ${port} of ${sandboxId} did not answer`) : error
    })
    .finally(() => clearTimeout(late))
  switchProtocols(socket, dialProtocol)
  pipeline(socket, remote, socket, () => {})
}

function assertToken(request: IncomingMessage, token: string): void {
  const given = request.headers.authorization ?? ''
  if (!sameSecret(given, `Bearer ${token}`)) throw new SlopboxError('unauthenticated', 'wrong credential')
}

/** Compares in constant time, also for different lengths. */
export function sameSecret(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}

function readHeader(request: IncomingMessage, name: string, valid: (value: string) => boolean): string {
  const value = request.headers[name]
  if (typeof value !== 'string' || !valid(value))
    throw new SlopboxError('invalid_request', `header ${name} is absent or malformed`)
  return value
}

function switchProtocols(socket: Duplex, protocol: string): void {
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`)
}

function refuse(socket: Duplex, error: unknown, log: Log): void {
  const known = error instanceof SlopboxError ? error : new SlopboxError('internal', 'upgrade failed', { cause: error })
  if (known.code === 'internal') log.error({ err: error }, 'internal upgrade failed')
  const body = JSON.stringify(known.toWire())
  socket.end(
    `HTTP/1.1 ${known.status} ${STATUS_CODES[known.status] ?? ''}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
