import type { DenyReason } from '../../contract/egress.ts'

/** Why something was denied, for people. Exhaustive: a new reason breaks the build here. */
export const denyTexts: Record<DenyReason, string> = {
  no_policy: 'No policy yet',
  no_rule: 'Not on the allowlist',
  bad_request: 'Malformed request',
  bad_host: 'Not a valid host name',
  address_refused: 'Private or reserved address',
  unresolvable: 'Name does not resolve',
  sni_missing: 'TLS without a server name',
  sni_mismatch: 'TLS name differs from the host',
  protocol: 'Unknown protocol',
  secret_unavailable: 'Secret unavailable',
  budget: 'Budget used up',
  rate: 'Too many requests',
  connect_failed: 'Host did not answer',
  tls_failed: 'TLS failed',
  unidentified: 'Unknown sender',
  method_blocked: 'Method is blocked',
  upstream_failed: 'Host failed',
  revoked: 'No longer allowed',
}
