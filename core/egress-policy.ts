import type { DenyReason } from '../contract/egress.ts'
import type { EgressPolicy, PolicyAlias, PolicyRule, PolicySecret } from '../contract/sync.ts'
import { parseHost, type Host } from './host-name.ts'

export interface Destination {
  host: Host
  port: number
}

export type Decision =
  | { action: 'allow'; rule: PolicyRule; reason: null }
  | { action: 'deny'; rule: null; reason: DenyReason }

/** Ports a rule without a port stands for. */
export const defaultPorts: readonly number[] = [80, 443]

/** May this sandbox reach this destination? Without a policy, or without a rule that matches, it may not. */
export function decide(policy: Pick<EgressPolicy, 'rules'> | undefined, to: Destination): Decision {
  if (policy === undefined) return { action: 'deny', rule: null, reason: 'no_policy' }
  const rules = policy.rules.filter((rule) => portMatches(rule.port, to.port) && hostMatches(rule.host, to.host))
  const rule = rules.find((candidate) => !candidate.host.startsWith('*.')) ?? rules[0]
  return rule === undefined
    ? { action: 'deny', rule: null, reason: 'no_rule' }
    : { action: 'allow', rule, reason: null }
}

/** Is there any port on which this name may be reached? What the sandbox's DNS needs to know. */
export function nameIsKnown(policy: Pick<EgressPolicy, 'rules' | 'aliases'> | undefined, host: Host): boolean {
  if (policy === undefined || host.kind !== 'name') return false
  return findAlias(policy, host) !== undefined || policy.rules.some((rule) => hostMatches(rule.host, host))
}

/** Names under this suffix exist only as aliases; no rule and no resolver is asked for them. */
export const aliasSuffix = '.slopbox.internal'

export function findAlias(policy: Pick<EgressPolicy, 'aliases'> | undefined, host: Host): PolicyAlias | undefined {
  return host.kind === 'name' ? policy?.aliases.find((alias) => alias.name === host.text) : undefined
}

/** Secrets bound to exactly this destination. A binding without a port means 443. */
export function secretsFor(policy: Pick<EgressPolicy, 'secrets'>, to: Destination): PolicySecret[] {
  return policy.secrets.filter((secret) =>
    secret.hosts.some((bound) => (bound.port ?? 443) === to.port && sameHost(bound.host, to.host)),
  )
}

const portMatches = (port: number | null, asked: number): boolean =>
  port === null ? defaultPorts.includes(asked) : port === asked

/** `*.name` stands for everything below `name` but not for `name`; an IP address matches only a rule that is that address. */
export function hostMatches(pattern: string, host: Host): boolean {
  if (pattern.startsWith('*.')) {
    const suffix = pattern.slice(1)
    return host.kind === 'name' && suffix.length > 1 && host.text.length > suffix.length && host.text.endsWith(suffix)
  }
  return sameHost(pattern, host)
}

function sameHost(pattern: string, host: Host): boolean {
  if (host.kind === 'name') return pattern === host.text
  const parsed = parseHost(pattern)
  return parsed.ok && parsed.host.kind === 'ip' && parsed.host.text === host.text
}
