import { request } from 'node:http'
import type { Duplex } from 'node:stream'
import { errorFromWire, SlopboxError } from '../contract/errors.ts'

export interface UpgradeRequest {
  /** Path of the Unix socket the other process listens on. */
  socketPath: string
  path: string
  /** Name of the protocol to change to (RFC 9110 §7.8). */
  protocol: string
  headers: Readonly<Record<string, string>>
  /** Ends the attempt; the socket that came of it is the caller's. */
  signal: AbortSignal
}

const maxErrorBytes = 64 * 1024

/** Asks for another protocol with `GET` and gives back the raw connection. Throws the server's error, or `unavailable`. */
export function requestUpgrade(to: UpgradeRequest): Promise<Duplex> {
  const { promise, resolve, reject } = Promise.withResolvers<Duplex>()
  const fail = (cause: unknown): void =>
    reject(new SlopboxError('unavailable', `no connection through ${to.socketPath}`, { cause }))
  const call = request({
    socketPath: to.socketPath,
    path: to.path,
    agent: false,
    headers: { ...to.headers, host: 'localhost', connection: 'Upgrade', upgrade: to.protocol },
  })
  // Not handed to request(), which would destroy the upgraded socket when the signal aborts later.
  const late = (): void => void call.destroy(new Error('the attempt was given up'))
  to.signal.addEventListener('abort', late, { once: true })
  if (to.signal.aborted) late()
  call.once('close', () => to.signal.removeEventListener('abort', late))
  call.on('upgrade', (_response, socket, head) => {
    to.signal.removeEventListener('abort', late)
    if (head.length > 0) socket.unshift(head)
    resolve(socket)
  })
  call.on('response', (response) => {
    let text = ''
    response.setEncoding('utf8')
    response.on('data', (chunk: string) => {
      if (text.length < maxErrorBytes) text += chunk
    })
    response.on('error', fail)
    response.on('end', () => reject(refusal(to, response.statusCode ?? 0, text)))
  })
  call.on('error', fail)
  call.end()
  return promise
}

function refusal(to: UpgradeRequest, status: number, text: string): SlopboxError {
  try {
    const known = errorFromWire(JSON.parse(text))
    if (known !== undefined) return known
  } catch {
    // Not JSON: reported below by its status.
  }
  return new SlopboxError('unavailable', `${to.path} was answered with status ${status} instead of ${to.protocol}`)
}
