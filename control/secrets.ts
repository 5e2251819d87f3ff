import type { putSecret, Secret } from '../contract/egress.ts'
import { SlopboxError } from '../contract/errors.ts'
import { newId } from '../contract/ids.ts'
import type { Input } from '../contract/route.ts'
import { randomText } from './auth/tokens.ts'
import { canonicalSecretHost } from './egress-hosts.ts'
import { seal } from './seal.ts'
import { isUniqueViolation } from './store/db.ts'
import type { Tx } from './store/db.ts'
import { insertSecret, lockSecret, updateSecret } from './store/secrets.ts'

export type SecretInput = Input<typeof putSecret>['body'] & { teamId: string; name: string; createdBy: string | null }

/**
 * Seals the value and stores it as the team's secret of this name; one that is there keeps its id and placeholder. Throws
 * `invalid_request` for a host or header that cannot be, `conflict` when somebody else makes the same one at this moment.
 */
export async function saveSecret(
  tx: Tx,
  masterKey: Buffer,
  input: SecretInput,
): Promise<{ secret: Secret; replaced: boolean }> {
  const header = input.header.toLowerCase()
  if (refusedHeaders.has(header))
    throw new SlopboxError('invalid_request', `body.header: ${header} belongs to the connection, not to a credential`)
  const hosts = [...new Set(input.hosts.map((host, index) => canonicalSecretHost(`body.hosts.${index}`, host)))]
  const { teamId, name, format } = input
  const there = await lockSecret(tx, teamId, name)
  const id = there?.id ?? newId('secret')
  const fields = { hosts, header, format, sealed: seal(masterKey, id, input.value) }
  if (there !== undefined) return { secret: await updateSecret(tx, id, fields), replaced: true }
  try {
    const placeholder = `slopbox-placeholder-${randomText(24)}`
    const secret = await insertSecret(tx, { ...fields, id, teamId, name, placeholder, createdBy: input.createdBy })
    return { secret, replaced: false }
  } catch (error) {
    if (isUniqueViolation(error, 'secrets_team_id_name_key'))
      throw new SlopboxError('conflict', `secret ${name} is being made by somebody else`, { cause: error })
    throw error
  }
}

/** Headers that frame or route a message (RFC 9110 §7.6.1, RFC 9112): a value of ours there would change what is sent, not who sends it. */
const refusedHeaders = new Set([
  'accept-encoding',
  'connection',
  'content-length',
  'content-type',
  'date',
  'expect',
  'host',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'via',
])
