import type { z } from 'zod'
import type { Check, checkEgress, EgressRule } from '../contract/egress.ts'
import { SlopboxError } from '../contract/errors.ts'
import type { Input } from '../contract/route.ts'
import { classifyAddress, parseRange } from '../core/address-ranges.ts'
import type { Range } from '../core/address-ranges.ts'
import { aliasSuffix, decide } from '../core/egress-policy.ts'
import { hostInAuthority, parseHost } from '../core/host-name.ts'
import type { Host } from '../core/host-name.ts'
import type { Db } from './store/db.ts'
import { rulesOfAgent } from './store/rules.ts'
import { secretNamesFor } from './store/secrets.ts'
import { readSettings } from './store/settings.ts'

/**
 * Whether egress would let an agent's request through, by the same rule it uses. Names are not resolved here, so one that
 * resolves to a refused address is still refused when it is dialled.
 */
export async function explain(
  db: Db,
  teamId: string,
  query: Input<typeof checkEgress>['query'],
): Promise<z.infer<typeof Check>> {
  const { host, port } = destinationOf(query.url)
  const name = hostInAuthority(host)
  if (`.${host.text}`.endsWith(aliasSuffix)) {
    const message = `${name} is an alias: it leads to the agent's model and needs no rule`
    return { action: 'allow', rule: null, reason: null, message, secret: null }
  }
  const rules = await rulesOfAgent(db, teamId, query.agentId)
  const decision = decide({ rules: rules.map((rule) => ({ ...rule, allowReserved: false })) }, { host, port })
  if (decision.action === 'deny') {
    const message = `no rule allows ${name} port ${port}: add one with \`slopbox allow add\``
    return { action: 'deny', rule: null, reason: decision.reason, message, secret: null }
  }
  const rule = rules.find((each) => each.id === decision.rule.id) ?? null
  if (await isRefusedAddress(db, host)) {
    const message = `${name} is a reserved or private address: an operator has to allow its range in the settings`
    return { action: 'deny', rule, reason: 'address_refused', message, secret: null }
  }
  const [secret] = await secretNamesFor(db, teamId, [port === 443 ? name : `${name}:${port}`])
  return { action: 'allow', rule, reason: null, message: allowed(rule), secret: secret ?? null }
}

function destinationOf(text: string): { host: Host; port: number } {
  const url = new URL(text)
  const port = url.port === '' ? ({ 'http:': 80, 'https:': 443 }[url.protocol] ?? null) : Number(url.port)
  const result = parseHost(url.hostname)
  if (port === null || !result.ok)
    throw new SlopboxError('invalid_request', `query.url: ${result.ok ? 'needs a port' : result.why}`)
  return { host: result.host, port }
}

async function isRefusedAddress(db: Db, host: Host): Promise<boolean> {
  if (host.kind !== 'ip') return false
  const { allowedRanges } = await readSettings(db)
  const allowedHere = allowedRanges.map(parseRange).filter((range): range is Range => range !== undefined)
  return classifyAddress(host.address, { allowed: allowedHere, own: [] }).action === 'refuse'
}

function allowed(rule: EgressRule | null): string {
  return rule === null ? 'allowed' : `allowed by the ${rule.scope} rule for ${rule.host}`
}
