import { Agent } from 'node:http'
import { SlopboxError } from '../contract/errors.ts'
import type { Header } from '../lib/http-gate.ts'
import { assertBodySize, forward } from './forward.ts'
import type { ServerResponse } from 'node:http'
import { clientHeaders, originOf, schemeOf } from './visit.ts'
import type { Visit } from './visit.ts'

export const maxApiBodyBytes = 8 * 1024 * 1024

/** Passes API requests to control's private socket. `/internal/` has no way through: only the listed paths come here. */
export interface ControlPass extends Disposable {
  pass(visit: Visit, response: ServerResponse): Promise<void>
}

export const isControlPath = (path: string): boolean =>
  /^\/(?:v1|api\/auth)\//.test(path) || path === '/openapi.json' || path === '/docs' || path.startsWith('/docs/')

export function controlPass(socketPath: string): ControlPass {
  const agent = new Agent({ keepAlive: true, maxFreeSockets: 32 })
  return {
    async pass(visit, response) {
      assertBodySize(visit, maxApiBodyBytes)
      await forward({
        visit,
        response,
        upstream: { socketPath, agent },
        headers: [...clientHeaders(visit), ...ownHeaders(visit)],
        maxBodyBytes: maxApiBodyBytes,
        answer: (headers) => [...withoutOwn(headers), ...securityHeaders(visit)],
      }).catch((error: unknown) => {
        throw isAway(error)
          ? new SlopboxError('unavailable', 'the control plane is not answering', { cause: error })
          : error
      })
    },
    [Symbol.dispose]: () => agent.destroy(),
  }
}

/**
 * A page of a sandbox or an agent is on the same site as the app, so its requests carry the app's cookies. Only the
 * Origin header tells them apart: with a cookie, a write must come from the app's own pages.
 */
export function assertOwnOrigin(visit: Visit): void {
  const { method = '', headers } = visit.request
  if (headers.cookie === undefined || ['GET', 'HEAD', 'OPTIONS'].includes(method)) return
  const { origin } = headers
  const site = headers['sec-fetch-site']
  const foreign = origin === undefined ? site === 'same-site' || site === 'cross-site' : origin !== originOf(visit)
  if (foreign)
    throw new SlopboxError('forbidden', `origin ${String(origin).slice(0, 200)} may not use this session`, {
      hint: 'Use an API key for calls from other pages.',
    })
}

function ownHeaders(visit: Visit): Header[] {
  return [
    ['x-slopbox-client-address', visit.address],
    ['x-forwarded-for', visit.address],
    ['x-forwarded-proto', schemeOf(visit)],
    ['x-forwarded-host', visit.host],
    ['x-slopbox-request-id', visit.requestId],
  ]
}

const withoutOwn = (headers: Header[]): Header[] => headers.filter(([name]) => !name.startsWith('x-slopbox-'))

export function securityHeaders(visit: Visit): Header[] {
  return [
    ['x-content-type-options', 'nosniff'],
    ['x-frame-options', 'DENY'],
    ['referrer-policy', 'same-origin'],
    ['cross-origin-opener-policy', 'same-origin'],
    ['cross-origin-resource-policy', 'same-origin'],
    ...(visit.secure ? ([['strict-transport-security', 'max-age=31536000']] as const) : []),
  ]
}

function isAway(error: unknown): boolean {
  return error instanceof SlopboxError && error.code === 'upstream_failed'
}
