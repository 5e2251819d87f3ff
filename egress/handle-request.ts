import type { DenyReason } from '../contract/egress.ts'
import type { Destination } from '../core/egress-policy.ts'
import { admit, openSecrets } from './admit.ts'
import { sendDenial, statusOf } from './denial.ts'
import type { Incoming } from './exchange.ts'
import type { Flow } from './flows.ts'
import { forward } from './forward.ts'
import { checkRequest, type CleanRequest } from './http-gate.ts'
import type { Origin, Services, Who } from './services.ts'

/** Everything that happens to one HTTP request, in order: gate, policy, budget, secrets; then `forward` does the rest. */
export async function handleRequest(services: Services, origin: Origin, who: Who, incoming: Incoming): Promise<void> {
  const { req } = incoming
  const gate = checkRequest(req, origin.entry === 'proxy' ? 'absolute' : 'origin')
  if (!gate.ok) {
    const flow = services.flows.open({ kind: 'http', ...who, method: req.method ?? null, detail: { why: gate.why } })
    refuse(flow, incoming, gate.reason, null, gate.why)
    return
  }
  const { request } = gate
  const to = destination(origin, request)
  const flow = services.flows.open({
    kind: 'http',
    ...who,
    method: request.method,
    host: request.host.text,
    port: to?.port ?? request.port,
    // Queries carry other people's tokens; the path is enough to know what was tried.
    path: request.path.replace(/\?.*$/s, ''),
  })
  if (to === undefined) {
    refuse(
      flow,
      incoming,
      'bad_request',
      null,
      'the Host header names another host or port than this connection is for',
    )
    return
  }
  const admitted = admit(services, flow, to, origin.tls)
  if (!admitted.ok) {
    refuse(flow, incoming, admitted.reason, to)
    return
  }
  const { policy, route } = admitted
  const secrets = openSecrets(services, flow, policy, route)
  if (secrets === undefined) {
    refuse(flow, incoming, 'secret_unavailable', to)
    return
  }
  await forward(services, {
    ...incoming,
    flow,
    request,
    to,
    tls: origin.tls,
    route,
    secrets,
    refuse: (reason, why) => refuse(flow, incoming, reason, to, why, route.alias !== null),
  })
}

/** The destination this request may be for on this connection; undefined when it names something else. */
function destination({ entry, tls, authority }: Origin, request: CleanRequest): Destination | undefined {
  const usual = tls ? 443 : 80
  if (entry === 'proxy') return { host: request.host, port: request.port ?? usual }
  const port = authority?.port ?? usual
  if (authority !== null && authority.host.text !== request.host.text) return undefined
  return request.port === null || request.port === port ? { host: request.host, port } : undefined
}

function refuse(
  flow: Flow,
  incoming: Incoming,
  reason: DenyReason,
  to: Destination | null,
  why?: string,
  alias = false,
): void {
  flow.deny(reason, statusOf(reason, alias))
  flow.end()
  sendDenial(incoming.reply(), {
    reason,
    host: to?.host.text ?? null,
    port: to?.port ?? null,
    agentId: flow.policy?.agentId ?? null,
    alias,
    ...(why === undefined ? {} : { why }),
  })
}
