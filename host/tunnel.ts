/** The host's streams: dials the gateway, turns round, and serves exec, dial and logs of its sandboxes over that connection. */
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { pipeline } from 'node:stream/promises'
import { SlopboxError } from '../contract/errors.ts'
import { tunnelProtocol } from '../contract/tunnel.ts'
import { backOffMs, jittered } from '../lib/back-off.ts'
import { writeAll } from '../lib/frames.ts'
import type { Log } from '../lib/log.ts'
import { pause } from '../lib/loop.ts'
import { serveTunnel, type TunnelHandler } from '../lib/tunnel.ts'
import { requestUpgrade } from '../lib/upgrade.ts'
import type { Commands } from './commands.ts'
import { lookAt, type Driver } from './driver.ts'
import { serveCommands } from './tunnel-commands.ts'
import { serveExec } from './tunnel-exec.ts'
import { serveFiles } from './tunnel-files.ts'

export interface StreamDeps {
  driver: Driver
  /** Background commands; they outlive every tunnel. */
  commands: Commands
  log: Log
}

/** Answers the streams of contract/tunnel.ts. */
export function serveStreams({ driver, commands, log }: StreamDeps): TunnelHandler {
  const requireKnown = async (id: string) => {
    const found = await lookAt(driver, id)
    // Build sandboxes belong to the host alone.
    if (found === undefined || !id.startsWith('sb'))
      throw new SlopboxError('not_found', `sandbox ${id} is not on this host`)
    return found
  }
  const requireRunning = async (id: string): Promise<void> => {
    const { state } = await requireKnown(id)
    if (state !== 'running')
      throw new SlopboxError('wrong_state', `sandbox ${id} is ${state}`, { hint: 'Start it, or wait until it runs.' })
  }
  return async (stream, headers) => {
    const url = new URL(headers[':path'] ?? '/', 'http://tunnel')
    switch (`${headers[':method']} ${url.pathname}`) {
      case 'POST /exec':
        return serveExec({ driver, requireRunning, log }, stream)
      case 'POST /commands':
        return serveCommands({ commands, requireKnown, requireRunning }, stream)
      case 'POST /files':
        return serveFiles({ driver, requireRunning }, stream)
      case 'POST /dial':
        await requireRunning(sandboxOf(headers))
        return serveDial(driver, stream, headers)
      case 'GET /logs':
        await requireKnown(sandboxOf(headers))
        return serveLogs(driver, stream, headers, url.searchParams)
      default:
        throw new SlopboxError('not_found', `no such stream: ${headers[':method']} ${url.pathname}`)
    }
  }
}

function sandboxOf(headers: IncomingHttpHeaders): string {
  const id = headers['x-slopbox-sandbox']
  if (typeof id !== 'string' || !/^[a-z0-9]{1,64}$/.test(id))
    throw new SlopboxError('invalid_request', 'x-slopbox-sandbox must be an id', { hint: null })
  return id
}

const dialMs = 10_000

async function serveDial(driver: Driver, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
  const id = sandboxOf(headers)
  const port = Number(headers['x-slopbox-port'])
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new SlopboxError('invalid_request', 'x-slopbox-port must be a port, 1 to 65535', { hint: null })
  if (driver.dial === undefined)
    throw new SlopboxError('wrong_state', `driver ${driver.name} cannot reach ports inside`, { hint: null })
  const socket = await driver.dial(id, port, AbortSignal.timeout(dialMs)).catch((cause: unknown) => {
    if (cause instanceof SlopboxError) throw cause
    throw new SlopboxError('upstream_failed', `nothing answers on port ${port} of sandbox ${id}`, { cause })
  })
  if (stream.closed || stream.destroyed) return void socket.destroy()
  stream.respond({ ':status': 200, 'content-type': 'application/octet-stream' })
  // Each direction ends by itself (half-closed connections are legal); an error or a reset ends both.
  stream.once('close', () => socket.destroy())
  const directions = await Promise.allSettled([
    pipeline(stream, socket, { end: true }),
    pipeline(socket, stream, { end: true }),
  ])
  if (directions.some(({ status }) => status === 'rejected')) stream.close()
}

async function serveLogs(
  driver: Driver,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  query: URLSearchParams,
): Promise<void> {
  if (driver.logs === undefined)
    throw new SlopboxError('wrong_state', `driver ${driver.name} keeps no logs`, { hint: null })
  const gone = new AbortController()
  stream.once('close', () => gone.abort())
  stream.resume()
  const tail = Math.min(10_000, Math.max(0, Number.parseInt(query.get('tail') ?? '200', 10) || 0))
  const lines = driver.logs(sandboxOf(headers), { tail, follow: query.get('follow') === '1', signal: gone.signal })
  stream.respond({ ':status': 200, 'content-type': 'application/jsonl' })
  try {
    for await (const line of lines) {
      if (gone.signal.aborted) return
      await writeAll(stream, Buffer.from(`${JSON.stringify(line)}\n`))
    }
    stream.end()
  } catch (error) {
    if (!gone.signal.aborted) throw error
  }
}

export interface TunnelDeps {
  socketPath: string
  token: string
  /** Resolves once control has given this host its id. */
  hostId: (signal: AbortSignal) => Promise<string>
  handler: TunnelHandler
  log: Log
  random: () => number
}

const awayBackOff = { firstMs: 200, maxMs: 5_000 }
const connectMs = 10_000

/** Keeps a tunnel to the gateway open, with back-off while it is away. */
export function keepTunnel(deps: TunnelDeps): AsyncDisposable {
  const stop = new AbortController()
  const { log } = deps
  const connect = async (onOpen: () => void): Promise<void> => {
    const hostId = await deps.hostId(stop.signal)
    const socket = await requestUpgrade({
      socketPath: deps.socketPath,
      path: '/internal/tunnel',
      protocol: tunnelProtocol,
      headers: { authorization: `Bearer ${deps.token}`, 'x-slopbox-host': hostId },
      signal: AbortSignal.any([stop.signal, AbortSignal.timeout(connectMs)]),
    })
    await using tunnel = serveTunnel(socket, deps.handler, {
      onError: (error) => log.debug({ err: error }, 'stream of the tunnel ended with an error'),
    })
    onOpen()
    const stopped = Promise.withResolvers<void>()
    stop.signal.addEventListener('abort', () => stopped.resolve(), { once: true })
    if (!stop.signal.aborted) await Promise.race([tunnel.closed, stopped.promise])
  }
  const run = async (): Promise<void> => {
    let away = 0
    while (!stop.signal.aborted) {
      try {
        await connect(() => {
          if (away > 0) log.info({ attempts: away }, 'gateway is back')
          away = 0
        })
        if (!stop.signal.aborted) log.info({}, 'tunnel closed')
      } catch (error) {
        if (stop.signal.aborted) return
        if (away === 0)
          log.warn({ err: error }, `gateway is away: ${error instanceof Error ? error.message : 'no tunnel'}`)
        away += 1
      }
      await pause(jittered(backOffMs(Math.max(0, away - 1), awayBackOff), deps.random), stop.signal)
    }
  }
  const done = run()
  return {
    async [Symbol.asyncDispose]() {
      stop.abort()
      await done
    },
  }
}
