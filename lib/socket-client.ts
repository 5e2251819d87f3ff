import { request } from 'node:http'
import { errorFromWire, SlopboxError } from '../contract/errors.ts'
import type { Call, Output, Route } from '../contract/route.ts'

export interface SocketClient {
  /** Path of the Unix socket the other process listens on. */
  socketPath: string
  /** This process's own bearer credential. */
  token: string
}

/** Calls an internal route over a Unix socket. Throws the server's SlopboxError, or `unavailable` when nobody answers. */
export async function callSocket<R extends Route>(
  client: SocketClient,
  route: R,
  input: Call<R>,
  signal: AbortSignal,
): Promise<Output<R>> {
  const text = await exchange(
    client,
    route.method,
    route.path,
    JSON.stringify((input as { body: unknown }).body),
    signal,
  )
  const reply = route.reply.safeParse(text.body)
  const failure = errorFromWire(text.body)
  if (failure !== undefined) throw failure
  if (text.status >= 400 || !reply.success)
    throw new SlopboxError('unavailable', `${route.id}: unreadable answer with status ${text.status}`)
  return reply.data as Output<R>
}

function exchange(
  client: SocketClient,
  method: string,
  path: string,
  body: string,
  signal: AbortSignal,
): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void =>
      reject(new SlopboxError('unavailable', `no answer on ${client.socketPath}`, { cause }))
    const headers = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      authorization: `Bearer ${client.token}`,
      host: 'localhost',
    }
    const call = request({ socketPath: client.socketPath, method, path, headers, signal, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', fail)
      response.on('end', () => {
        try {
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(Buffer.concat(chunks).toString('utf8')) })
        } catch (cause) {
          fail(cause)
        }
      })
    })
    call.on('error', fail)
    call.end(body)
  })
}
