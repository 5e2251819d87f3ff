import type { Duplex } from 'node:stream'
import { WebSocket, WebSocketServer } from 'ws'
import type { RawData } from 'ws'
import { SlopboxError } from '../../contract/errors.ts'
import { filterFrame } from '../../core/rpc-filter.ts'
import type { Phase } from '../../core/rpc-filter.ts'
import { subject } from '../audit.ts'
import type { Auditor } from '../audit.ts'
import type { Dialler } from '../dial.ts'
import type { Grant, Grants } from '../grants.ts'
import { originOf, toHeaderObject } from '../visit.ts'
import type { Visit } from '../visit.ts'
import { agentHeaders } from './http.ts'

export interface AgentSocketDeps {
  dialler: Dialler
  grants: Grants
  audit: Auditor
}

/** Limits of OpenClaw's own protocol: before and after its `connect`. */
const maxFirstBytes = 64 * 1024
const maxMessageBytes = 26_214_400
const connectMs = 15_000
/** Unsent bytes towards one side above which the other side is not read. */
const highWaterBytes = 1024 * 1024

const acceptor = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: maxMessageBytes })

/**
 * Joins the owner's page to the agent. Nothing is passed through as bytes: both WebSockets end here, each message of the
 * page is judged and written anew, and the agent's are passed on as messages.
 */
export async function joinAgent(
  deps: AgentSocketDeps,
  grant: Grant,
  port: number,
  visit: Visit,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  // invariant: another origin's page must not ride on this origin's cookie (RFC 6455 §10.2)
  if (visit.request.headers.origin !== originOf(visit))
    throw new SlopboxError('forbidden', 'WebSocket from another origin')
  deps.audit.assertRoom()
  const startedAt = performance.now()
  const agent = await connect(deps.dialler, grant, port, visit)
  // In the callback itself: what the page has sent already is delivered before a promise would go on.
  acceptor.handleUpgrade(visit.request, socket, head, (page) => {
    const use = deps.grants.use(grant, () => {
      page.terminate()
      agent.terminate()
    })
    const counts = { in: 0, out: 0, denied: 0 }
    relay(page, agent, {
      judge: judge(deps, grant, visit, page, counts),
      count: (bytes) => (counts.out += bytes),
      closed: () => {
        use.release()
        deps.audit.write({
          ...record(grant, visit),
          decision: 'allow',
          status: 101,
          bytesIn: counts.in,
          bytesOut: counts.out,
          durationMs: performance.now() - startedAt,
          detail: { denied: counts.denied, requestId: visit.requestId },
        })
      },
    })
  })
}

async function connect(dialler: Dialler, grant: Grant, port: number, visit: Visit): Promise<WebSocket> {
  const stream = await dialler.port(grant, port, visit.gone)
  const headers = agentHeaders(grant, visit).filter(([name]) => !name.startsWith('sec-websocket-'))
  const agent = new WebSocket(`ws://${visit.host}${visit.request.url ?? '/'}`, {
    createConnection: () => stream as never,
    headers: toHeaderObject(headers),
    perMessageDeflate: false,
    maxPayload: maxMessageBytes * 2,
    handshakeTimeout: connectMs,
    followRedirects: false,
  })
  const { promise, resolve, reject } = Promise.withResolvers<WebSocket>()
  // Whatever the agent says first waits until the page is there.
  agent.once('open', () => {
    agent.pause()
    resolve(agent)
  })
  agent.on('error', (cause) => {
    stream.destroy()
    reject(new SlopboxError('upstream_failed', 'the agent did not accept the connection', { cause }))
  })
  return await promise
}

/** What becomes of one message of the page: the text to send on, or undefined when it was answered or ended here. */
type Judge = (data: RawData, binary: boolean) => string | undefined

function judge(
  deps: AgentSocketDeps,
  grant: Grant,
  visit: Visit,
  page: WebSocket,
  counts: { in: number; denied: number },
): Judge {
  let phase: Phase = 'connect'
  const scopes = (grant.headers['x-openclaw-scopes'] ?? '').split(',').filter((scope) => scope !== '')
  const deny = (method: string, reason: string): void => {
    counts.denied++
    deps.audit.write({
      ...record(grant, visit),
      decision: 'deny',
      reason: 'method_blocked',
      method: method.slice(0, 64),
      detail: { rpc: method.slice(0, 200), why: reason.slice(0, 300), requestId: visit.requestId },
    })
  }
  return (data, binary) => {
    const text = textOf(data, binary, phase)
    const verdict =
      'fault' in text ? ({ action: 'close', reason: text.fault } as const) : filterFrame(text.value, phase, scopes)
    if (verdict.action === 'close') {
      deny('malformed', verdict.reason)
      page.close(1008, verdict.reason)
      return undefined
    }
    if (verdict.action === 'refuse') {
      deny(verdict.method, verdict.reason)
      page.send(JSON.stringify(verdict.reply))
      return undefined
    }
    phase = 'open'
    const frame = JSON.stringify(verdict.frame)
    counts.in += Buffer.byteLength(frame)
    return frame
  }
}

function textOf(data: RawData, binary: boolean, phase: Phase): { value: unknown } | { fault: string } {
  if (binary || !Buffer.isBuffer(data)) return { fault: 'only text messages are accepted' }
  if (phase === 'connect' && data.length > maxFirstBytes) return { fault: `first message over ${maxFirstBytes} bytes` }
  try {
    return { value: JSON.parse(data.toString('utf8')) }
  } catch {
    return { fault: 'message is not JSON' }
  }
}

interface RelayHooks {
  judge: Judge
  /** Bytes of one message from the agent. */
  count: (bytes: number) => void
  /** Once, when both sides are closed. */
  closed: () => void
}

function relay(page: WebSocket, agent: WebSocket, hooks: RelayHooks): void {
  page.on('message', (data, binary) => {
    const text = hooks.judge(data, binary)
    if (text !== undefined) send(agent, text, page)
  })
  agent.on('message', (data, binary) => {
    const bytes = Buffer.isBuffer(data)
      ? data
      : Buffer.concat([data].flat().map((part) => Buffer.from(part as ArrayBuffer)))
    hooks.count(bytes.length)
    send(page, binary ? bytes : bytes.toString('utf8'), agent)
  })
  for (const [side, other] of [
    [page, agent],
    [agent, page],
  ] as const) {
    side.on('error', () => side.terminate())
    side.on('close', (code, reason) => {
      if (side.readyState === other.readyState) hooks.closed()
      else closeWith(other, code, reason)
    })
  }
  agent.resume()
}

/** Sends, and stops reading the other side while too much waits. */
function send(to: WebSocket, data: string | Buffer, from: WebSocket): void {
  if (to.readyState !== WebSocket.OPEN) return
  to.send(data, () => {
    if (from.isPaused && to.bufferedAmount < highWaterBytes) from.resume()
  })
  if (to.bufferedAmount > highWaterBytes) from.pause()
}

/** Codes that may not be sent (RFC 6455 §7.4.1) become 1011. */
function closeWith(socket: WebSocket, code: number, reason: Buffer): void {
  if (socket.readyState === WebSocket.CLOSED) return
  const sendable = (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code < 5000)
  if (code === 1005) socket.close()
  else socket.close(sendable ? code : 1011, sendable ? reason : undefined)
}

const record = (grant: Grant, visit: Visit) =>
  ({
    ...subject(grant),
    kind: 'rpc',
    method: 'CONNECT',
    host: visit.host.slice(0, 300),
    path: visit.path.slice(0, 2048),
  }) as const
