import { isIP } from 'node:net'
import type { Model } from '../contract/agents.ts'
import type { AuditRecord } from '../contract/egress.ts'

/**
 * What the gate saw of the agent's last model call, with the next step. The runtime only knows that a call failed, and
 * takes any refusal for a wrong key. Undefined: the gate saw nothing wrong.
 */
export function modelTrouble(
  record: Pick<AuditRecord, 'reason' | 'status'>,
  model: Pick<Model, 'baseUrl' | 'secret'>,
): string | undefined {
  const { host, hostname } = new URL(model.baseUrl)
  const { reason, status } = record
  if (reason === null) return status === 401 || status === 403 ? refusedKey(host, status, model.secret) : undefined
  const range = rangeOf(hostname)
  const troubles: Partial<Record<typeof reason, string>> = {
    address_refused: `${host} is at a reserved or private address. An operator can allow its range: slopbox settings set --allow-range ${range}`,
    unresolvable: `${hostname} does not resolve: correct the address of the model in the agent's settings`,
    connect_failed: `${host} does not answer: start the model server, or correct its address in the agent's settings`,
    tls_failed: `the certificate of ${host} is not trusted: an operator can add its authority with slopbox settings set --extra-roots`,
    secret_unavailable: `the model's key is missing or cannot be opened: store it again with slopbox secret set ${model.secret ?? 'NAME'}`,
    budget: 'the plan and the budget of this usage period are used up: raise the budget, or wait for the next period',
  }
  return troubles[reason]
}

function refusedKey(host: string, status: number, secret: string | null): string {
  const what = `${host} answered ${status}: it does not take the key`
  return secret === null
    ? `${what}, or wants one: set the model's key in the agent's settings`
    : `${what} in the secret ${secret}. Replace it: slopbox secret set ${secret}`
}

function rangeOf(hostname: string): string {
  const address = hostname.replace(/^\[|\]$/g, '')
  const version = address === 'localhost' ? 4 : isIP(address)
  if (version === 0) return '<range of its address>'
  return version === 4 ? `${address === 'localhost' ? '127.0.0.1' : address}/32` : `${address}/128`
}
