import type { Duplex } from 'node:stream'
import { WebSocket, WebSocketServer } from 'ws'
import type { RawData } from 'ws'
import { SlopboxError } from '../contract/errors.ts'
import { PtyClientMessage, type PtyServerMessage } from '../contract/pty.ts'
import { channels, ControlFrame } from '../contract/tunnel.ts'
import { issuesToText } from '../lib/faults.ts'
import { encodeJsonFrame, readFrames, writeAll, writeFrames } from '../lib/frames.ts'
import { appCredentials } from './enter.ts'
import type { Grant } from './grants.ts'
import { asKnown } from './pages.ts'
import { keyOf } from './ports.ts'
import type { StreamDeps } from './stream-answer.ts'
import { originOf } from './visit.ts'
import type { Visit } from './visit.ts'

const maxMessageBytes = 1024 * 1024
const startMs = 15_000
/** Unsent bytes towards the client above which the terminal is not read. */
const highWaterBytes = 256 * 1024

const acceptor = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: maxMessageBytes })

/** A terminal in a sandbox over a WebSocket: see contract/pty.ts. */
export async function joinPty(
  deps: StreamDeps,
  sandboxId: string,
  visit: Visit,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  // invariant: another origin's page must not ride on this origin's cookie (RFC 6455 §10.2)
  if (keyOf(visit) === undefined && visit.request.headers.origin !== originOf(visit))
    throw new SlopboxError('forbidden', 'WebSocket from another origin')
  const grant = await deps.authorizer.ask(appCredentials(visit), { kind: 'sandbox', sandboxId }, visit.gone)
  acceptor.handleUpgrade(visit.request, socket, head, (client) => {
    client.on('error', () => client.terminate())
    const late = setTimeout(() => client.close(1008, 'no start message'), startMs)
    client.once('close', () => clearTimeout(late))
    const messages = inTurn(client)
    messages.take((data, binary) => {
      clearTimeout(late)
      client.pause()
      messages.hold()
      play(deps, grant, visit, { client, messages }, binary ? undefined : data).catch((error: unknown) => {
        const known = asKnown(error, { requestId: visit.requestId, log: deps.log })
        tell(client, { type: 'error', code: known.code, message: known.message, hint: known.hint })
        client.close(1011)
        // A paused socket would not see the other side's close.
        client.resume()
      })
    })
  })
}

type Take = (data: RawData, binary: boolean) => void

interface Messages {
  take(take: Take): void
  /** Keeps what comes for the next `take`: a paused socket still delivers what it has read already. */
  hold(): void
}

function inTurn(client: WebSocket): Messages {
  const held: Parameters<Take>[] = []
  const keep: Take = (...message) => void held.push(message)
  let current = keep
  client.on('message', (data, binary) => current(data, binary))
  return {
    take(take) {
      current = take
      for (const message of held.splice(0)) take(...message)
    },
    hold: () => void (current = keep),
  }
}

async function play(
  deps: StreamDeps,
  grant: Grant,
  visit: Visit,
  { client, messages }: { client: WebSocket; messages: Messages },
  first: RawData | undefined,
): Promise<void> {
  const start = first === undefined ? undefined : parse(first)
  if (start?.type !== 'start') throw new SlopboxError('invalid_request', 'the first message must be `start`')
  const { type: _, cols, rows, ...request } = start
  const frame: ControlFrame = {
    type: 'start',
    sandboxId: grant.sandboxId,
    request,
    keepStdin: true,
    terminal: { cols, rows },
  }
  const stream = await deps.dialler.exec(grant, encodeJsonFrame(channels.control, frame), visit.gone)
  const ended = new SlopboxError('forbidden', 'access to this sandbox ended')
  const use = deps.grants.use(grant, () => stream.destroy(ended))
  client.once('close', () => stream.destroy())
  if (client.readyState !== WebSocket.OPEN) stream.destroy()
  try {
    takeInput(client, messages, stream)
    tell(client, { type: 'ready' })
    client.resume()
    tell(client, await passOutput(stream, client))
    client.close(1000)
  } catch (error) {
    // The client left: that is what broke the stream.
    if (client.readyState === WebSocket.OPEN) throw error
  } finally {
    use.release()
    stream.destroy()
  }
}

/** One message at a time: the client is not read while the terminal does not take more. */
function takeInput(client: WebSocket, messages: Messages, stream: Duplex): void {
  messages.take((data, binary) => {
    client.pause()
    const sent = binary ? writeFrames(stream, channels.stdin, bytesOf(data)) : steer(stream, data)
    sent.then(
      () => client.resume(),
      (error: unknown) => {
        stream.destroy(error instanceof Error ? error : new Error('input broke off'))
        client.resume()
      },
    )
  })
}

async function steer(stream: Duplex, data: RawData): Promise<void> {
  const message = parse(data)
  if (message.type === 'start') throw new SlopboxError('invalid_request', '`start` may come once')
  await writeAll(stream, encodeJsonFrame(channels.control, message satisfies ControlFrame))
}

async function passOutput(stream: Duplex, client: WebSocket): Promise<PtyServerMessage> {
  for await (const { channel, payload } of readFrames(stream)) {
    if (channel === channels.stdout || channel === channels.stderr) await send(client, payload)
    else if (channel === channels.control) {
      const frame = ControlFrame.parse(JSON.parse(payload.toString('utf8')))
      if (frame.type === 'exit' || frame.type === 'error') return frame
    }
  }
  throw new SlopboxError('unavailable', 'the host closed the stream before the command ended')
}

/** Resolves when the client may be sent more. A client that left takes everything. */
function send(client: WebSocket, bytes: Buffer): Promise<void> {
  if (client.readyState !== WebSocket.OPEN) return Promise.resolve()
  return new Promise((resolve) => {
    client.send(bytes, () => resolve())
    if (client.bufferedAmount < highWaterBytes) resolve()
  })
}

function tell(client: WebSocket, message: PtyServerMessage): void {
  if (client.readyState === WebSocket.OPEN) client.send(JSON.stringify(message))
}

const bytesOf = (data: RawData): Buffer =>
  Buffer.isBuffer(data) ? data : Buffer.concat([data].flat().map((part) => Buffer.from(part as ArrayBuffer)))

function parse(data: RawData): PtyClientMessage {
  let value: unknown
  try {
    value = JSON.parse(bytesOf(data).toString('utf8'))
  } catch (cause) {
    throw new SlopboxError('invalid_request', 'message is not JSON', { cause })
  }
  const result = PtyClientMessage.safeParse(value)
  if (!result.success) throw new SlopboxError('invalid_request', issuesToText('message', result.error.issues))
  return result.data
}
