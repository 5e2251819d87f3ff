import type { ServerResponse } from 'node:http'
import type { DenyReason } from '../contract/egress.ts'

/** What a sandbox is told. `host` is what it asked for itself; nothing of the inside of the system is in it. */
export interface Denial {
  reason: DenyReason
  host: string | null
  port: number | null
  agentId: string | null
  /** Said in addition: what exactly was wrong with a request. */
  why?: string
  /** The destination is an alias, whose target the sandbox did not choose. */
  alias?: boolean
}

const upstream: Partial<Record<DenyReason, string>> = {
  unresolvable: 'the name does not resolve',
  connect_failed: 'it does not answer',
  tls_failed: 'its certificate or TLS is not acceptable',
  upstream_failed: 'it answered with something that is not HTTP, or broke off',
  secret_unavailable: 'the secret for it is missing or cannot be opened',
}
const refused: Partial<Record<DenyReason, string>> = {
  no_policy: 'no policy is in force for this sandbox right now',
  bad_request: 'the request is not well-formed',
  bad_host: 'the host is not well-formed',
  address_refused: 'it resolves to an address that sandboxes may not reach',
  sni_missing: 'the TLS handshake does not name a host',
  sni_mismatch: 'the TLS handshake names another host than the tunnel',
  protocol: 'only HTTP, WebSocket and TLS are passed on',
  budget: 'the plan and the budget of this usage period are used up',
  rate: 'there is too much at once',
  unidentified: 'the sender is not known',
  method_blocked: 'this method is not passed on',
  revoked: 'it is no longer on the allowlist',
}

/**
 * HTTP status of a denial. An alias whose target is at an address that may not be reached is not there (502): clients take
 * 403 for the model's word about their key, and rest it.
 */
export function statusOf(reason: DenyReason, alias = false): number {
  if (alias && reason === 'address_refused') return 502
  if (reason === 'budget') return 402
  if (reason === 'rate') return 429
  if (reason === 'bad_request' || reason === 'bad_host') return 400
  return upstream[reason] === undefined ? 403 : 502
}

/** A short text that a person or an agent can act on. */
export function denialText({ reason, host, port, agentId, why }: Denial): string {
  const what = host === null ? 'this request' : port === null ? host : `${host}:${port}`
  const failed = upstream[reason]
  if (failed !== undefined) return `Slopbox could not pass this on to ${what}: ${failed} (${reason}).\n`
  if (reason === 'no_rule') {
    const portOption = port === null || port === 80 || port === 443 ? '' : ` --port ${port}`
    const whom = agentId === null ? '' : ` --agent ${agentId}`
    return (
      `Slopbox refused this: ${what} is not on the allowlist of this agent (no_rule).\n` +
      `Its owner can allow it: slopbox allow add ${host ?? '<host>'}${portOption}${whom}\n`
    )
  }
  const because = why ?? refused[reason] ?? reason
  const hint = reason === 'budget' ? 'Its owner can raise the budget, or wait for the next usage period.\n' : ''
  return `Slopbox refused ${what}: ${because} (${reason}).\n${hint}`
}

/** Answers and closes: the rest of a refused request is not read. */
export function sendDenial(response: ServerResponse, denial: Denial): void {
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  response.sendDate = false
  response.writeHead(statusOf(denial.reason, denial.alias), denialHeaders(denial)).end(denialText(denial))
}

export function denialHeaders(denial: Denial): Record<string, string> {
  return {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': String(Buffer.byteLength(denialText(denial))),
    'X-Slopbox-Deny': denial.reason,
    'Cache-Control': 'no-store',
    Connection: 'close',
    ...(denial.reason === 'rate' ? { 'Retry-After': '5' } : {}),
  }
}
