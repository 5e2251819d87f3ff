import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Exchange } from './exchange.ts'
import { endToEndResponse } from './http-gate.ts'
import { createScrubber, scrubText } from './scrub.ts'
import { tame, type Services } from './services.ts'
import { splice } from './splice.ts'

interface Switched {
  answer: IncomingMessage
  upstream: Socket
  head: Buffer
}

/**
 * Joins both ends of a WebSocket after checking that the other side really agreed to one (RFC 6455 §4.1). With a secret
 * in play no extension was offered, so frames come uncompressed and unmasked and can be freed of it like any bytes.
 * Resolves when it is over; rejects while the client has no answer yet.
 */
export async function joinWebSocket(
  services: Services,
  { flow, request, secrets, upgrade }: Exchange,
  { answer, upstream, head }: Switched,
): Promise<void> {
  if (upgrade === null) return
  tame(upstream)
  const key = request.headers.find(([name]) => name.toLowerCase() === 'sec-websocket-key')?.[1] ?? ''
  const expected = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  if (answer.headers.upgrade?.toLowerCase() !== 'websocket' || answer.headers['sec-websocket-accept'] !== expected) {
    upstream.destroy()
    throw new Error('answered 101 but not to this WebSocket')
  }
  const values = secrets.map(({ value }) => value)
  const lines = endToEndResponse(answer.rawHeaders).map(([name, value]) => `${name}: ${scrubText(value, values)}\r\n`)
  const text = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${lines.join('')}\r\n`
  flow.record.status = 101
  flow.pass('in', text.length)
  const { socket } = upgrade
  socket.write(text, 'latin1')
  if (head.length > 0) upstream.unshift(head)
  if (upgrade.head.length > 0) socket.unshift(upgrade.head)
  const scrubber = values.length > 0 ? createScrubber(values) : undefined
  splice(socket, upstream, { flow, idleMs: services.limits.idleMs, ...(scrubber === undefined ? {} : { scrubber }) })
  if (!socket.closed) await new Promise<void>((resolve) => socket.once('close', () => resolve()))
}
