import type { ServerResponse } from 'node:http'
import { SlopboxError } from '../contract/errors.ts'
import { AgentId, SandboxId } from '../contract/ids.ts'
import type { Authorizer, Credentials, Target } from './authorize.ts'
import { cookieName, readCookie, setCookie } from './handover.ts'
import type { Handover } from './handover.ts'
import { pageHeaders } from './pages.ts'
import { isNavigation, schemeOf } from './visit.ts'
import type { Visit } from './visit.ts'

/** Paths the gateway keeps for itself on the origins of agents and ports. */
const enterPath = '/__slopbox/enter'
const checkPath = '/__slopbox/check'

export interface EnterDeps {
  /** Public name with port. */
  domain: string
  handover: Handover
  authorizer: Authorizer
}

/** A place people are handed over to: its label is also the first part of its host name. */
export interface Place {
  name: string
  host: string
  target: Target
}

export const agentPlace = (agentId: string, domain: string): Place => ({
  name: agentId,
  host: `${agentId}.agent.${domain}`,
  target: { kind: 'agent-ui', agentId },
})
export const portPlace = (port: number, sandboxId: string, domain: string): Place => ({
  name: `${port}-${sandboxId}`,
  host: `${port}-${sandboxId}.${domain}`,
  target: { kind: 'sandbox', sandboxId },
})

/** The place an app path leads to: `/agents/{id}/gateway/` or `/sandboxes/{id}/ports/{port}/`; undefined for other paths. */
export function placeOfPath(path: string, domain: string): Place | undefined {
  const agentId = /^\/agents\/([a-z0-9]+)\/gateway\/?$/.exec(path)?.[1]
  if (AgentId.safeParse(agentId).success && agentId !== undefined) return agentPlace(agentId, domain)
  const [, sandboxId, port] = /^\/sandboxes\/([a-z0-9]+)\/ports\/([1-9]\d{0,4})\/?$/.exec(path) ?? []
  if (sandboxId === undefined || !SandboxId.safeParse(sandboxId).success) return undefined
  return Number(port) > 65_535 ? undefined : portPlace(Number(port), sandboxId, domain)
}

/** On the app's origin: asks control and sends the person over with a token that works once. */
export async function leave(deps: EnterDeps, place: Place, visit: Visit, response: ServerResponse): Promise<void> {
  const grant = await deps.authorizer.ask(appCredentials(visit), place.target, visit.gone)
  if (grant.sessionId === null)
    throw new SlopboxError('forbidden', 'pages open for a signed-in person, not for a key', { hint: 'Sign in first.' })
  const query = new URLSearchParams({ token: deps.handover.issue(place.name, grant.sessionId) })
  const to = new URL(visit.request.url ?? '/', 'http://app').searchParams.get('to')
  if (to !== null) query.set('to', to)
  redirect(response, `${schemeOf(visit)}://${place.host}${enterPath}?${query}`)
}

/**
 * On the place's own origin: the gateway's own paths are answered here and give undefined; otherwise the session in the
 * origin's cookie. Without one a page load is sent to the app and back; anything else throws `unauthenticated`.
 */
export function enter(deps: EnterDeps, place: Place, visit: Visit, response: ServerResponse): string | undefined {
  const query = new URL(visit.request.url ?? '/', 'http://place').searchParams
  if (visit.path === enterPath) {
    const sessionId = deps.handover.redeem(query.get('token') ?? '', place.name)
    if (sessionId === undefined)
      throw new SlopboxError('unauthenticated', 'this link was used before, is too old, or is for another page', {
        hint: 'Open the page from the console again.',
      })
    const next = new URLSearchParams({ to: safePath(query.get('to')) })
    redirect(response, `${checkPath}?${next}`, setCookie(deps.handover.seal(place.name, sessionId), visit.secure))
    return undefined
  }
  const sessionId = sessionOf(deps, place, visit)
  if (visit.path === checkPath) {
    // Without this step a browser that keeps no cookies would be sent round for ever.
    if (sessionId === undefined)
      throw new SlopboxError('unauthenticated', 'your browser did not keep the cookie of this page')
    redirect(response, safePath(query.get('to')))
    return undefined
  }
  if (sessionId !== undefined) return sessionId
  if (!isNavigation(visit)) throw new SlopboxError('unauthenticated', 'no session on this page')
  redirect(response, `${appPath(deps, place, visit)}?${new URLSearchParams({ to: visit.request.url ?? '/' })}`)
  return undefined
}

/** The session in this origin's own cookie. */
export function sessionOf(deps: EnterDeps, place: Place, visit: Visit): string | undefined {
  const value = readCookie(visit.request.headers.cookie, cookieName(visit.secure))
  return value === undefined ? undefined : deps.handover.unseal(value, place.name)
}

function appPath(deps: EnterDeps, place: Place, visit: Visit): string {
  const { target } = place
  const app = `${schemeOf(visit)}://${deps.domain}`
  if (target.kind === 'sandbox') return `${app}/sandboxes/${target.sandboxId}/ports/${place.name.split('-', 1)[0]}/`
  return `${app}/agents/${target.agentId}/gateway/`
}

/** What the caller brought to the app's origin or to an API route. */
export function appCredentials(visit: Visit): Credentials {
  const { headers } = visit.request
  const given = {
    cookie: headers.cookie,
    authorization: headers.authorization,
    apiKey: single(headers['x-api-key']),
    userId: single(headers['x-user-id']),
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

const single = (value: string | string[] | undefined): string | undefined => [value].flat()[0]

/** A path on this origin, whatever was asked for: two slashes would name another host. */
function safePath(to: string | null): string {
  if (to === null || !/^\/(?![/\\])[\x21-\x7e]*$/.test(to) || to.includes('\\') || to.startsWith('/__slopbox/'))
    return '/'
  return to
}

function redirect(response: ServerResponse, location: string, cookie?: string): void {
  response.writeHead(303, { ...pageHeaders, location, ...(cookie === undefined ? {} : { 'set-cookie': cookie }) }).end()
}
