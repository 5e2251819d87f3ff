import { errorFromWire, SlopboxError } from '../contract/errors.ts'
import type { Call, Output, Route } from '../contract/route.ts'

export interface ClientOptions {
  /** Origin of the API, for example `http://127.0.0.1:8480`. In a browser it defaults to the page's own origin. */
  url?: string
  /** A team or service key. Without one the browser's session cookie is used. */
  apiKey?: string
  /** Act for this user; needs a service key. */
  userId?: string
  /** Ends every request made with these options. */
  signal?: AbortSignal
  fetch?: typeof fetch
}

/** The parts of a call that may be left out because every field of them is optional. */
export type Given<R extends Route> = Partial<Call<R>> & { signal?: AbortSignal }

/** One function for every operation: fill the path, send, check the reply, or throw the server's own error. */
export async function call<R extends Route>(options: ClientOptions, route: R, given: Given<R>): Promise<Output<R>> {
  const response = await send(options, route, given)
  const body = await readJson(response)
  const reply = route.reply.safeParse(body)
  if (!reply.success)
    throw new SlopboxError('internal', `${route.id}: the answer has an unexpected shape`, {
      cause: reply.error,
      hint: 'Client and server may be of different versions.',
    })
  return reply.data as Output<R>
}

/** Sends a request and throws the server's error unless it succeeded. */
export async function send<R extends Route>(options: ClientOptions, route: R, given: Given<R>): Promise<Response> {
  const { url, init } = request(options, route, given)
  let response: Response
  try {
    response = await (options.fetch ?? fetch)(url, init)
  } catch (cause) {
    if (init.signal?.aborted === true) throw init.signal.reason
    throw new SlopboxError('unavailable', `no answer from ${url.origin}`, {
      cause,
      hint: 'Is it running? `slopbox status` tells.',
    })
  }
  if (response.ok) return response
  throw (
    errorFromWire(await readJson(response)) ?? new SlopboxError('internal', `${route.id}: status ${response.status}`)
  )
}

function request<R extends Route>(options: ClientOptions, route: R, given: Given<R>): { url: URL; init: RequestInit } {
  const {
    params = {},
    query = {},
    body,
  } = given as {
    params?: Record<string, string>
    query?: Record<string, string | number | boolean | null | undefined>
    body?: unknown
  }
  const path = route.path.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? ''))
  const url = new URL(path, options.url ?? globalThis.location?.origin)
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== null) url.searchParams.set(name, String(value))
  const headers = new Headers({ accept: route.kind === 'stream' ? 'text/event-stream' : 'application/json' })
  if (options.apiKey !== undefined) headers.set('authorization', `Bearer ${options.apiKey}`)
  if (options.userId !== undefined) headers.set('x-user-id', options.userId)
  const init: RequestInit = { method: route.method, headers, redirect: 'error', credentials: 'same-origin' }
  if (route.carries === 'body') {
    headers.set('content-type', 'application/octet-stream')
    // A stream is sent as it comes, which HTTP clients want said (WHATWG Fetch, RequestInit.duplex).
    Object.assign(init, { body, duplex: 'half' })
  } else if (route.method !== 'GET' && body !== undefined) {
    headers.set('content-type', 'application/json')
    init.body = JSON.stringify(body)
  }
  const signals = [options.signal, given.signal].filter((signal) => signal !== undefined)
  if (signals.length > 0) init.signal = AbortSignal.any(signals)
  return { url, init }
}

async function readJson(response: Response): Promise<unknown> {
  const text = await response.text()
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new SlopboxError('internal', `status ${response.status} without JSON`, {
      cause,
      hint: 'Is this address a Slopbox?',
    })
  }
}
