import { z } from 'zod'

/**
 * Ids are a prefix and 16 characters of `[a-z0-9]`, about 82 random bits. No separator, because agent and sandbox ids
 * appear as labels of host names.
 */
export const idPrefixes = {
  user: 'us',
  session: 'se',
  account: 'ac',
  verification: 've',
  team: 'tm',
  agent: 'ag',
  sandbox: 'sb',
  template: 'tp',
  build: 'bd',
  snapshot: 'sn',
  host: 'ho',
  secret: 'sc',
  rule: 'er',
  key: 'ak',
  sshKey: 'sk',
  plan: 'pl',
  period: 'up',
  event: 'ev',
  audit: 'au',
  request: 'rq',
  grant: 'gr',
  command: 'cm',
} as const
export type IdKind = keyof typeof idPrefixes

const alphabet = '0123456789abcdefghijklmnopqrstuvwxyz'

/** A new id. Uses the platform's cryptographic randomness; 36 does not divide 256, so bytes past 251 are drawn again. */
export function newId(kind: IdKind): string {
  let id = ''
  while (id.length < 16) {
    for (const byte of crypto.getRandomValues(new Uint8Array(24))) {
      if (byte < 252 && id.length < 16) id += alphabet[byte % 36]
    }
  }
  return idPrefixes[kind] + id
}

const id = (kind: IdKind): z.ZodString =>
  z
    .string()
    .regex(
      new RegExp(`^${idPrefixes[kind]}[a-z0-9]{16}$`),
      `not the id of ${/^[aeiou]/.test(kind) ? 'an' : 'a'} ${kind}`,
    )

export const UserId = id('user')
export const TeamId = id('team')
export const AgentId = id('agent')
export const SandboxId = id('sandbox')
export const TemplateId = id('template')
export const BuildId = id('build')
export const HostId = id('host')
export const SecretId = id('secret')
export const RuleId = id('rule')
export const KeyId = id('key')
export const SshKeyId = id('sshKey')
export const PlanId = id('plan')
export const EventId = id('event')
export const CommandId = id('command')
export const AuditId = id('audit')
