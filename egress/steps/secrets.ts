import type { EgressPolicy, PolicySecret } from '../../contract/sync.ts'
import { secretsFor } from '../../core/egress-policy.ts'
import type { OpenSecret } from '../open-secret.ts'
import type { Route } from './policy.ts'

export interface OpenedSecret {
  id: string
  name: string
  header: string
  format: string
  placeholder: string
  value: string
}

export type SecretsResult = { ok: true; secrets: OpenedSecret[] } | { ok: false; name: string; cause: unknown }
export type Headers = [name: string, value: string][]

/** Which secrets belong to this route: those bound to an alias, else, over TLS only, those bound to the exact host and port. */
export function boundSecrets(policy: EgressPolicy, route: Route): PolicySecret[] | undefined {
  if (route.alias === null) return route.tls ? secretsFor(policy, route) : []
  const { secretId } = route.alias
  if (secretId === null) return []
  const secret = policy.secrets.find((candidate) => candidate.id === secretId)
  // An alias that names a secret which is not there must not go out without it.
  return secret && [secret]
}

/** Step 4: opens what an already admitted request needs. Anything missing or unreadable fails the request. */
export function secretsStep(policy: EgressPolicy, route: Route, open: OpenSecret): SecretsResult {
  const bound = boundSecrets(policy, route)
  if (bound === undefined) return { ok: false, name: route.alias?.secretId ?? '', cause: new Error('no such secret') }
  const secrets: OpenedSecret[] = []
  for (const { sealed, hosts: _, ...secret } of bound) {
    try {
      secrets.push({ ...secret, value: open(secret.id, sealed) })
    } catch (cause) {
      return { ok: false, name: secret.name, cause }
    }
  }
  return { ok: true, secrets }
}

/** Some servers take `_` for `-` in names, so both spell the same header. */
export const plainName = (name: string): string => name.toLowerCase().replaceAll('_', '-')

/** Takes away the client's own copies of each secret's header, and sets the header last. */
export function placeSecrets(headers: Headers, secrets: readonly OpenedSecret[]): Headers {
  let out = headers
  const placed = new Set<string>()
  for (const { header, format, placeholder, value } of secrets) {
    const name = plainName(header)
    if (placed.has(name)) continue
    placed.add(name)
    const own = out.find(([n, text]) => plainName(n) === name && placeholder !== '' && text.includes(placeholder))
    const text = own === undefined ? format.split('{value}').join(value) : own[1].split(placeholder).join(value)
    out = [...out.filter(([n]) => plainName(n) !== name), [header, text]]
  }
  return out
}
