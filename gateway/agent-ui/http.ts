import type { ServerResponse } from 'node:http'
import { SlopboxError } from '../../contract/errors.ts'
import type { Header } from '../../lib/http-gate.ts'
import type { Dialler } from '../dial.ts'
import { forward } from '../forward.ts'
import type { Grant, Grants } from '../grants.ts'
import { safeSetCookie, withoutOwnCookies } from '../handover.ts'
import { addressForAgent, clientHeaders, isNavigation, schemeOf } from '../visit.ts'
import type { Visit } from '../visit.ts'
import { isOpenPath } from './paths.ts'

export interface AgentHttpDeps {
  dialler: Dialler
  grants: Grants
}

/** Passes one request of the owner's page to the agent, as who the grant says. */
export async function passToAgent(
  deps: AgentHttpDeps,
  grant: Grant,
  port: number,
  visit: Visit,
  response: ServerResponse,
): Promise<void> {
  const { method = '' } = visit.request
  if (!isOpenPath(method, visit.path, isNavigation(visit)))
    throw new SlopboxError('forbidden', `${method} ${visit.path} of the agent is not open to its page`, {
      hint: 'Use the Slopbox console or API.',
    })
  const stream = await deps.dialler.port(grant, port, visit.gone)
  const use = deps.grants.use(grant, () => {
    stream.destroy()
    response.destroy()
  })
  try {
    await forward({
      visit,
      response,
      upstream: { stream },
      headers: agentHeaders(grant, visit),
      maxBodyBytes: 0,
      answer: (headers) => pageAnswer(headers),
    })
  } finally {
    use.release()
    stream.destroy()
  }
}

/**
 * What the agent is told: the client's own headers without credentials and without anything that says who or where it
 * is; then, from the gateway alone, identity and scopes (trusted-proxy mode).
 */
export function agentHeaders(grant: Grant, visit: Visit): Header[] {
  const own: Header[] = [
    ['x-forwarded-for', addressForAgent(visit.address)],
    ['x-forwarded-proto', schemeOf(visit)],
    ['x-forwarded-host', visit.host],
    ...Object.entries(grant.headers).map(([name, value]) => [name.toLowerCase(), value] as const),
  ]
  const set = new Set([...own.map(([name]) => name), ...withheld])
  const cookie = withoutOwnCookies(visit.request.headers.cookie)
  return [
    ...clientHeaders(visit).filter(([name]) => !set.has(name)),
    ...(cookie === undefined ? [] : ([['cookie', cookie]] as const)),
    ...own,
  ]
}

const withheld = ['authorization', 'cookie', 'x-api-key', 'x-user-id', 'content-length', 'expect']

/** Answer headers that would reach beyond this page's own origin and visit. */
const dropped = new Set([
  'strict-transport-security',
  'alt-svc',
  'clear-site-data',
  'service-worker-allowed',
  'nel',
  'report-to',
  'reporting-endpoints',
  'public-key-pins',
  'expect-ct',
])

/** The answer of a page written by strangers, kept to its own origin. */
export function pageAnswer(headers: readonly Header[]): Header[] {
  return headers.flatMap(([name, value]): Header[] => {
    if (dropped.has(name) || name.startsWith('x-slopbox-')) return []
    if (name !== 'set-cookie') return [[name, value]]
    const cookie = safeSetCookie(value)
    return cookie === undefined ? [] : [[name, cookie]]
  })
}
