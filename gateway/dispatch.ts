import { STATUS_CODES } from 'node:http'
import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { SlopboxError } from '../contract/errors.ts'
import { ptyPath } from '../contract/pty.ts'
import type { Log } from '../lib/log.ts'
import { passToAgent } from './agent-ui/http.ts'
import { joinAgent } from './agent-ui/socket.ts'
import type { Auditor } from './audit.ts'
import type { Authorizer } from './authorize.ts'
import { serveConsole } from './console.ts'
import { assertOwnOrigin, isControlPath } from './control-pass.ts'
import type { ControlPass } from './control-pass.ts'
import type { Dialler } from './dial.ts'
import { agentPlace, enter, leave, placeOfPath, portPlace, sessionOf } from './enter.ts'
import type { EnterDeps, Place } from './enter.ts'
import type { Grant, Grants } from './grants.ts'
import { asKnown, sendError } from './pages.ts'
import { joinPort, keyOf, passToPort } from './ports.ts'
import type { PortAccess } from './ports.ts'
import { joinPty } from './pty.ts'
import type { RateLimiter } from './rate-limit.ts'
import { routeHost } from './route.ts'
import type { Destination, HostTable } from './route.ts'
import { findStream } from './streams.ts'
import { isNavigation, schemeOf, wantsHtml } from './visit.ts'
import type { Visit } from './visit.ts'

export interface DispatchDeps extends EnterDeps {
  table: HostTable
  consoleDir: string
  control: ControlPass
  authorizer: Authorizer
  grants: Grants
  dialler: Dialler
  audit: Auditor
  limiter: RateLimiter
  log: Log
}

/** Answers one request whose head has passed the gate. Never rejects: a failure becomes the answer. */
export async function dispatch(deps: DispatchDeps, visit: Visit, response: ServerResponse): Promise<void> {
  const destination = routeHost(visit.host, visit.secure, deps.table)
  try {
    deps.limiter.assertRate(visit)
    await answer(deps, destination, visit, response)
  } catch (error) {
    // The client left: nobody is there to be told, and what broke because of it is no fault.
    if (visit.gone.aborted) return void response.destroy()
    const api = destination.kind === 'app' && isControlPath(visit.path)
    sendError(response, error, {
      requestId: visit.requestId,
      html: wantsHtml(visit) && !api,
      log: deps.log,
      ...actionFor(deps, error, visit),
    })
  }
}

async function answer(deps: DispatchDeps, to: Destination, visit: Visit, response: ServerResponse): Promise<void> {
  switch (to.kind) {
    case 'app':
      return await answerApp(deps, visit, response)
    case 'agent': {
      const place = agentPlace(to.agentId, deps.domain)
      const sessionId = enter(deps, place, visit, response)
      if (sessionId === undefined) return
      const { grant, port } = await openAgent(deps, place, sessionId, visit)
      return await passToAgent(deps, grant, port, visit, response)
    }
    case 'port': {
      const access = await accessToPort(deps, to.port, to.sandboxId, visit, response)
      if (access !== undefined) await passToPort(deps, access, to.port, visit, response)
      return
    }
    case 'unknown':
      throw new SlopboxError('not_found', `nothing is served under ${visit.host}`)
  }
}

async function answerApp(deps: DispatchDeps, visit: Visit, response: ServerResponse): Promise<void> {
  assertOwnOrigin(visit)
  const stream = findStream(visit.request.method, visit.path)
  if (stream !== undefined) return await stream(deps, visit, response)
  if (isControlPath(visit.path)) return await deps.control.pass(visit, response)
  if (/^\/(?:internal|api)(?:\/|$)/i.test(visit.path))
    throw new SlopboxError('not_found', `no such operation: ${visit.request.method} ${visit.path}`)
  const place = placeOfPath(visit.path, deps.domain)
  if (place !== undefined && visit.request.method === 'GET') return await leave(deps, place, visit, response)
  await serveConsole(deps.consoleDir, visit, response)
}

async function openAgent(
  deps: DispatchDeps,
  place: Place,
  sessionId: string,
  visit: Visit,
): Promise<{ grant: Grant; port: number }> {
  const grant = await deps.authorizer.askForPage(sessionId, place.target, visit.gone)
  if (grant.port === null) throw new SlopboxError('not_found', 'this agent has no page of its own')
  return { grant, port: grant.port }
}

async function accessToPort(
  deps: DispatchDeps,
  port: number,
  sandboxId: string,
  visit: Visit,
  response: ServerResponse,
): Promise<PortAccess | undefined> {
  const place = portPlace(port, sandboxId, deps.domain)
  const key = sessionOf(deps, place, visit) === undefined ? keyOf(visit) : undefined
  if (key !== undefined) return { grant: await deps.authorizer.ask(key, place.target, visit.gone), byKey: true }
  const sessionId = enter(deps, place, visit, response)
  if (sessionId === undefined) return undefined
  return { grant: await deps.authorizer.askForPage(sessionId, place.target, visit.gone), byKey: false }
}

/** Answers a request to change the protocol. Never rejects. */
export async function dispatchUpgrade(deps: DispatchDeps, visit: Visit, socket: Duplex, head: Buffer): Promise<void> {
  try {
    deps.limiter.assertRate(visit)
    await answerUpgrade(deps, visit, socket, head)
  } catch (error) {
    refuseUpgrade(deps, visit, socket, error)
  }
}

async function answerUpgrade(deps: DispatchDeps, visit: Visit, socket: Duplex, head: Buffer): Promise<void> {
  const { headers, method } = visit.request
  if (method !== 'GET' || headers.upgrade?.toLowerCase() !== 'websocket' || headers['sec-websocket-version'] !== '13')
    throw new SlopboxError('invalid_request', 'only WebSocket version 13 is accepted as an upgrade')
  const to = routeHost(visit.host, visit.secure, deps.table)
  if (to.kind === 'agent') {
    const place = agentPlace(to.agentId, deps.domain)
    const sessionId = sessionOf(deps, place, visit)
    if (sessionId === undefined) throw new SlopboxError('unauthenticated', 'no session on this page')
    const grant = await deps.authorizer.ask({ sessionId }, place.target, visit.gone)
    if (grant.port === null) throw new SlopboxError('not_found', 'this agent has no page of its own')
    return await joinAgent(deps, grant, grant.port, visit, socket, head)
  }
  const terminal = to.kind === 'app' ? ptyPath.exec(visit.path)?.[1] : undefined
  if (terminal !== undefined) return await joinPty(deps, terminal, visit, socket, head)
  if (to.kind !== 'port') throw new SlopboxError('not_found', 'no WebSocket here')
  const place = portPlace(to.port, to.sandboxId, deps.domain)
  const sessionId = sessionOf(deps, place, visit)
  const key = sessionId === undefined ? keyOf(visit) : undefined
  if (sessionId === undefined && key === undefined) throw new SlopboxError('unauthenticated', 'no session on this page')
  const grant = await deps.authorizer.ask(key ?? { sessionId }, place.target, visit.gone)
  await joinPort(deps, { grant, byKey: key !== undefined }, to.port, visit, socket, head)
}

function refuseUpgrade(deps: DispatchDeps, visit: Visit, socket: Duplex, error: unknown): void {
  if (visit.gone.aborted || socket.destroyed) return void socket.destroy()
  const known = asKnown(error, { requestId: visit.requestId, log: deps.log })
  const body = JSON.stringify(known.toWire(visit.requestId))
  socket.end(
    `HTTP/1.1 ${known.status} ${STATUS_CODES[known.status] ?? ''}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nX-Request-Id: ${visit.requestId}\r\nConnection: close\r\n\r\n${body}`,
  )
}

/** Where a person goes from the error page: to sign in, or back to the console. */
function actionFor(
  deps: DispatchDeps,
  error: unknown,
  visit: Visit,
): { action: { href: string; label: string } } | Record<string, never> {
  if (!isNavigation(visit)) return {}
  const app = `${schemeOf(visit)}://${deps.domain}`
  const signIn = error instanceof SlopboxError && error.code === 'unauthenticated'
  return {
    action: signIn ? { href: `${app}/sign-in`, label: 'Sign in' } : { href: `${app}/`, label: 'Open the console' },
  }
}
