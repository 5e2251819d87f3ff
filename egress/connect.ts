import { admit, watchPolicy } from './admit.ts'
import { peekFirstBytes } from './client-hello.ts'
import { statusOf, type Denial } from './denial.ts'
import { rawDenial, type Connect, type HttpFront } from './http-front.ts'
import { checkConnect } from './http-gate.ts'
import type { Services } from './services.ts'
import type { TlsFront } from './tls-front.ts'

/**
 * CONNECT: decided by its target, then by what is said inside. TLS goes where the target says or nowhere; HTTP inside is
 * judged request by request (Node's own clients tunnel plain HTTP too); anything else is refused.
 */
export async function handleConnect(
  services: Services,
  front: HttpFront,
  tls: TlsFront,
  connect: Connect,
): Promise<void> {
  const { req, socket, head, who } = connect
  const target = checkConnect(req)
  const flow = services.flows.open({
    kind: 'tunnel',
    ...who,
    method: 'CONNECT',
    ...(target.ok ? { host: target.host.text, port: target.port } : { detail: { why: target.why } }),
  })
  const refuse = (denial: Omit<Denial, 'agentId'>): void => {
    flow.deny(denial.reason, statusOf(denial.reason))
    flow.end()
    if (!socket.destroyed) socket.end(rawDenial({ ...denial, agentId: flow.policy?.agentId ?? null }))
  }
  if (!target.ok) return refuse({ reason: 'bad_host', host: null, port: null, why: `the target ${target.why}` })
  const to = { host: target.host, port: target.port }
  // Which of the two it will be is not known yet; an alias exists for plain HTTP only.
  const admitted = admit(services, flow, to, false)
  if (!admitted.ok) return refuse({ reason: admitted.reason, host: to.host.text, port: to.port })
  watchPolicy(flow, to, false, admitted.route, () => socket.destroy())

  socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
  if (head.length > 0) socket.unshift(head)
  const first = await peekFirstBytes(socket, services.limits.firstBytesMs)
  if (flow.record.decision === 'deny') return void socket.destroy()
  switch (first.kind) {
    case 'tls':
      await tls.tunnelled(socket, who, to, first.sni, flow)
      return
    case 'http':
      flow.drop()
      front.take(socket, { ...who, entry: 'inner', tls: false, authority: to })
      return
    case 'bad':
      flow.deny('protocol', 403)
      flow.record.detail['why'] = first.why
      break
    case 'gone':
      flow.record.detail['broken'] = 'client'
      break
  }
  flow.end()
  socket.destroy()
}
