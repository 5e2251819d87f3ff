import type { Duplex } from 'node:stream'
import { WebSocket } from 'ws'
import { z } from 'zod'
import { SlopboxError } from '../../contract/errors.ts'
import { controlIdentity, openclawPort, ownerScopes, scopesHeader, userHeader } from './openclaw-config.ts'

/** A raw connection to the agent's port, made by the caller. */
export type Dial = (port: number, signal: AbortSignal) => Promise<Duplex>

export interface OpenclawSession extends Disposable {
  /** Calls a method and gives its payload. Throws `upstream_failed` with the gateway's own words. */
  call(method: string, params: object): Promise<unknown>
  /** Events in order, from the moment of connecting; ends when the connection does. */
  events(): AsyncIterable<GatewayEvent>
}

export interface GatewayEvent {
  event: string
  payload: unknown
}

const protocol = 4
const connectTimeoutMs = 20_000
const callTimeoutMs = 60_000

const Frame = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('res'),
    id: z.string(),
    ok: z.boolean(),
    payload: z.unknown().optional(),
    error: z.object({ code: z.string(), message: z.string() }).optional(),
  }),
  z.object({ type: z.literal('event'), event: z.string(), payload: z.unknown().optional() }),
])

/**
 * Connects to an OpenClaw gateway as one of the identities its configuration knows: `control-plane` with every right, or
 * a user with an owner's. No token is involved: the gateway trusts the address these headers come from.
 */
export async function connectOpenclaw(
  dial: Dial,
  identity: { user: string } | 'control',
  origin: string,
  signal: AbortSignal,
): Promise<OpenclawSession> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(connectTimeoutMs)])
  const connection = await dial(openclawPort, deadline)
  const user = identity === 'control' ? controlIdentity : identity.user
  const scopes = identity === 'control' ? ['operator.admin', ...ownerScopes] : [...ownerScopes]
  const socket = new WebSocket('ws://agent/', {
    createConnection: () => connection as never,
    perMessageDeflate: false,
    handshakeTimeout: connectTimeoutMs,
    headers: {
      [userHeader]: user,
      [scopesHeader]: scopes.join(','),
      // A documentation address (RFC 5737): a client that is not loopback must be named.
      'x-forwarded-for': '192.0.2.1',
      'x-forwarded-proto': new URL(origin).protocol.replace(':', ''),
      'x-forwarded-host': new URL(origin).host,
    },
  })
  const session = new Session(socket, signal)
  try {
    await session.handshake(scopes, deadline)
    return session
  } catch (error) {
    session[Symbol.dispose]()
    throw error
  }
}

class Session implements OpenclawSession {
  readonly #socket: WebSocket
  readonly #pending = new Map<string, PromiseWithResolvers<unknown>>()
  readonly #events: GatewayEvent[] = []
  readonly #challenge = Promise.withResolvers<void>()
  readonly #onAbort = (): void => this.#end(new SlopboxError('upstream_failed', 'the caller is gone'))
  readonly #signal: AbortSignal
  #news = Promise.withResolvers<void>()
  #ended: SlopboxError | undefined
  #calls = 0

  constructor(socket: WebSocket, signal: AbortSignal) {
    this.#socket = socket
    this.#signal = signal
    // Awaited by `handshake`; unheard before that, a refusal would end the process.
    this.#challenge.promise.catch(() => {})
    socket.on('message', (data: Buffer) => this.#receive(data.toString('utf8')))
    socket.on('error', (cause) =>
      this.#end(new SlopboxError('upstream_failed', `the agent's gateway: ${cause.message}`, { cause })),
    )
    socket.on('close', (code, reason) =>
      this.#end(
        new SlopboxError('upstream_failed', `the agent's gateway closed the connection: ${code} ${reason.toString()}`),
      ),
    )
    signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  async handshake(scopes: readonly string[], deadline: AbortSignal): Promise<void> {
    const late = (): void =>
      this.#end(new SlopboxError('timeout', `the agent's gateway did not answer within ${connectTimeoutMs / 1000} s`))
    deadline.addEventListener('abort', late, { once: true })
    try {
      await this.#challenge.promise
      await this.call('connect', {
        minProtocol: protocol,
        maxProtocol: protocol,
        client: { id: 'gateway-client', version: '1.0.0', platform: 'linux', mode: 'backend' },
        role: 'operator',
        scopes,
        caps: [],
      })
    } finally {
      deadline.removeEventListener('abort', late)
    }
  }

  async call(method: string, params: object): Promise<unknown> {
    if (this.#ended !== undefined) throw this.#ended
    const id = String((this.#calls += 1))
    const answer = Promise.withResolvers<unknown>()
    this.#pending.set(id, answer)
    const late = setTimeout(
      () =>
        answer.reject(
          new SlopboxError('timeout', `${method}: no answer from the agent within ${callTimeoutMs / 1000} s`),
        ),
      callTimeoutMs,
    )
    this.#socket.send(JSON.stringify({ type: 'req', id, method, params }))
    try {
      return await answer.promise
    } finally {
      clearTimeout(late)
      this.#pending.delete(id)
    }
  }

  async *events(): AsyncGenerator<GatewayEvent> {
    for (;;) {
      yield* this.#events.splice(0)
      if (this.#ended !== undefined) throw this.#ended
      await this.#news.promise
      this.#news = Promise.withResolvers<void>()
    }
  }

  #receive(text: string): void {
    const frame = Frame.safeParse(parseJson(text))
    if (!frame.success) return
    if (frame.data.type === 'event') {
      const { event, payload } = frame.data
      if (event === 'connect.challenge') this.#challenge.resolve()
      else {
        this.#events.push({ event, payload })
        this.#news.resolve()
      }
      return
    }
    const { id, ok, payload, error } = frame.data
    if (ok) this.#pending.get(id)?.resolve(payload)
    else
      this.#pending
        .get(id)
        ?.reject(
          new SlopboxError('upstream_failed', `the agent's gateway: ${error?.message ?? 'refused'}`, { hint: null }),
        )
  }

  #end(reason: SlopboxError): void {
    if (this.#ended !== undefined) return
    this.#ended = reason
    this.#signal.removeEventListener('abort', this.#onAbort)
    this.#challenge.reject(reason)
    for (const answer of this.#pending.values()) answer.reject(reason)
    this.#news.resolve()
    this.#socket.terminate()
  }

  [Symbol.dispose](): void {
    this.#end(new SlopboxError('upstream_failed', 'the connection was given back'))
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Left to the schema, which refuses undefined.
    return undefined
  }
}
