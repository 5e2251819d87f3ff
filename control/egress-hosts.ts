import { getPublicSuffix } from 'tldts'
import { SlopboxError } from '../contract/errors.ts'
import { aliasSuffix } from '../core/egress-policy.ts'
import { hostInAuthority, parseAuthority, parseHost } from '../core/host-name.ts'

/** The one spelling of a rule's host: a name, `*.name`, or an IP address. `field` is named in the `invalid_request` it throws. */
export function canonicalPattern(field: string, pattern: string): string {
  const wildcard = pattern.startsWith('*.')
  const result = parseHost(wildcard ? pattern.slice(2) : pattern)
  if (!result.ok) throw refused(field, pattern, result.why)
  const { host } = result
  if (wildcard && host.kind === 'ip') throw refused(field, pattern, 'is a wildcard over an address')
  if (host.kind === 'name' && `.${host.text}`.endsWith(aliasSuffix))
    throw refused(field, pattern, `ends in ${aliasSuffix}, which is ours`)
  return wildcard ? `*.${host.text}` : host.text
}

/** Canonical `host` or `host:port` of a secret; 443 is left out. No wildcards: a stranger might own a name below one. */
export function canonicalSecretHost(field: string, text: string): string {
  if (text.includes('*'))
    throw refused(field, text, 'is a wildcard; a secret is only sent to hosts that are named in full')
  const result = parseAuthority(text)
  if (!result.ok) throw refused(field, text, result.why)
  const host = hostInAuthority(result.host)
  return result.port === null || result.port === 443 ? host : `${host}:${result.port}`
}

/** What an operator should think about twice: a wildcard over names that anybody can register. */
export function patternWarning(pattern: string): string | null {
  if (!pattern.startsWith('*.')) return null
  const name = pattern.slice(2)
  if (getPublicSuffix(name, { allowPrivateDomains: true }) !== name) return null
  return `anybody can register names under ${name}, so ${pattern} allows hosts of strangers`
}

function refused(field: string, text: string, why: string): SlopboxError {
  const hint = text.includes('://')
    ? 'Leave out scheme and path: only the host.'
    : // oxlint-disable-next-line no-control-regex -- everything beyond ASCII is meant
      /[^\x00-\x7f]/.test(text)
      ? 'Write international names in their ASCII form (xn--…).'
      : 'Write an exact name, `*.example.com`, or an IP address.'
  return new SlopboxError('invalid_request', `${field}: ${JSON.stringify(text.slice(0, 100))} ${why}`, { hint })
}
