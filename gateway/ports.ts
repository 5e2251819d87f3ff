import { request as httpRequest, STATUS_CODES } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream'
import { SlopboxError } from '../contract/errors.ts'
import { endToEnd } from '../lib/http-gate.ts'
import type { Header } from '../lib/http-gate.ts'
import { pageAnswer } from './agent-ui/http.ts'
import type { Dialler } from './dial.ts'
import { appCredentials } from './enter.ts'
import type { Credentials } from './authorize.ts'
import { forward } from './forward.ts'
import type { Grant, Grants } from './grants.ts'
import { withoutOwnCookies } from './handover.ts'
import { clientHeaders, originOf, schemeOf, toHeaderObject } from './visit.ts'
import type { Visit } from './visit.ts'

export interface PortDeps {
  dialler: Dialler
  grants: Grants
}

/** Who asks for a port: the session of the origin's cookie, or a key. A key is ours, so it goes no further. */
export type PortAccess = { grant: Grant; byKey: boolean }

/** The key in a request to a port; undefined when it brought none. */
export function keyOf(visit: Visit): Credentials | undefined {
  const { cookie: _cookie, ...key } = appCredentials(visit)
  return key.apiKey === undefined && key.authorization === undefined ? undefined : key
}

/** Passes one request to a port inside a sandbox. */
export async function passToPort(
  deps: PortDeps,
  access: PortAccess,
  port: number,
  visit: Visit,
  response: ServerResponse,
): Promise<void> {
  const stream = await dial(deps, access.grant, port, visit)
  const use = deps.grants.use(access.grant, () => {
    stream.destroy()
    response.destroy()
  })
  try {
    await forward({
      visit,
      response,
      upstream: { stream },
      headers: portHeaders(access, visit),
      maxBodyBytes: Number.MAX_SAFE_INTEGER,
      answer: (headers) => pageAnswer(headers),
    })
  } finally {
    use.release()
    stream.destroy()
  }
}

/** Joins a WebSocket to a port inside a sandbox, as bytes: what is said there is between the two ends. */
export async function joinPort(
  deps: PortDeps,
  access: PortAccess,
  port: number,
  visit: Visit,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  // invariant: another origin's page must not ride on this origin's cookie (RFC 6455 §10.2)
  if (!access.byKey && visit.request.headers.origin !== originOf(visit))
    throw new SlopboxError('forbidden', 'WebSocket from another origin')
  const stream = await dial(deps, access.grant, port, visit)
  const use = deps.grants.use(access.grant, () => {
    stream.destroy()
    socket.destroy()
  })
  stream.once('close', () => use.release())
  const answer = await requestUpgrade(stream, access, visit)
  if (head.length > 0) socket.unshift(head)
  socket.write(statusLine(answer.response))
  pipeline(socket, answer.socket, socket, () => {})
}

function requestUpgrade(
  stream: Duplex,
  access: PortAccess,
  visit: Visit,
): Promise<{ response: IncomingMessage; socket: Duplex }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ response: IncomingMessage; socket: Duplex }>()
  const call = httpRequest({
    createConnection: () => stream,
    method: 'GET',
    path: visit.request.url,
    headers: { ...toHeaderObject(portHeaders(access, visit)), connection: 'Upgrade', upgrade: 'websocket' },
    setHost: false,
    signal: visit.gone,
  })
  call.on('upgrade', (response, socket, first) => {
    if (first.length > 0) socket.unshift(first)
    resolve({ response, socket })
  })
  call.on('response', (response) => {
    stream.destroy()
    reject(new SlopboxError('upstream_failed', `the port answered ${response.statusCode} instead of a WebSocket`))
  })
  call.on('error', (cause) => reject(new SlopboxError('upstream_failed', 'no answer from the port', { cause })))
  call.end()
  return promise
}

async function dial(deps: PortDeps, grant: Grant, port: number, visit: Visit): Promise<Duplex> {
  try {
    return await deps.dialler.port(grant, port, visit.gone)
  } catch (error) {
    if (!(error instanceof SlopboxError) || error.code !== 'upstream_failed') throw error
    throw new SlopboxError('upstream_failed', `nothing listens on port ${port} of ${grant.sandboxId}`, {
      hint: 'Start a server there that listens on all addresses, then reload.',
      cause: error,
    })
  }
}

function portHeaders(access: PortAccess, visit: Visit): Header[] {
  const cookie = withoutOwnCookies(visit.request.headers.cookie)
  const withheld = access.byKey ? ['authorization', 'x-api-key', 'x-user-id', 'cookie'] : ['cookie']
  return [
    ...clientHeaders(visit).filter(([name]) => !withheld.includes(name)),
    ...(cookie === undefined ? [] : ([['cookie', cookie]] as const)),
    ['x-forwarded-for', visit.address],
    ['x-forwarded-proto', schemeOf(visit)],
    ['x-forwarded-host', visit.host],
  ]
}

function statusLine(response: IncomingMessage): string {
  const status = response.statusCode ?? 101
  const headers = [...pageAnswer(endToEnd(response.rawHeaders)), ['connection', 'Upgrade'], ['upgrade', 'websocket']]
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines}\r\n`
}
