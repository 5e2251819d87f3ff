import type { Model } from '../contract/agents.ts'
import { SlopboxError } from '../contract/errors.ts'
import { canonicalSecretHost } from './egress-hosts.ts'
import { saveSecret } from './secrets.ts'
import { json } from './store/db.ts'
import type { Tx } from './store/db.ts'
import { lockSecret } from './store/secrets.ts'

export interface ModelKey {
  teamId: string
  userId: string
  agentId: string
  agentName: string
  model: Pick<Model, 'baseUrl' | 'api'>
  key: string
}

/**
 * Stores a model's key as a secret of the team and answers its name. `current` is the agent's present secret: its value
 * is replaced when it was made for this agent and no other uses it, so a shared secret is never overwritten.
 */
export async function storeModelKey(
  tx: Tx,
  masterKey: Buffer,
  given: ModelKey,
  current: string | null,
): Promise<string> {
  const name = await chooseName(tx, given, current)
  await saveSecret(tx, masterKey, {
    teamId: given.teamId,
    name,
    createdBy: given.userId,
    value: given.key,
    hosts: [endpointOf(given.model.baseUrl)],
    ...headerOf(given.model.api),
  })
  return name
}

/** The header each API reads its key from. */
function headerOf(api: Model['api']): { header: string; format: string } {
  return api === 'anthropic-messages'
    ? { header: 'x-api-key', format: '{value}' }
    : { header: 'authorization', format: 'Bearer {value}' }
}

/** `model-` and the agent's name; with its id when the plain name is taken. */
async function chooseName(tx: Tx, given: ModelKey, current: string | null): Promise<string> {
  const own = `model-${given.agentId}`
  const slug = given.agentName
    .normalize('NFKD')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 40)
  const plain = slug === '' ? own : `model-${slug}`
  const ours = current === own || current === plain
  if (current !== null && ours && (await othersUse(tx, given, current)) === 0) return current
  return (await lockSecret(tx, given.teamId, plain)) === undefined ? plain : own
}

/** How many other agents of the team use this secret. */
async function othersUse(tx: Tx, given: ModelKey, name: string): Promise<number> {
  const agents = await tx.selectFrom('agents').select(['id', 'model']).where('team_id', '=', given.teamId).execute()
  return agents.filter((agent) => agent.id !== given.agentId && agent.model.secret === name).length
}

/**
 * Refuses a secret the team does not have, and one that may not go to the endpoint: else naming another endpoint would
 * be a way to send a credential anywhere. One that names no hosts yet gets the endpoint's.
 */
export async function bindModelSecret(tx: Tx, teamId: string, model: Model): Promise<void> {
  const endpoint = endpointOf(model.baseUrl)
  if (model.secret === null) return
  const secret = await lockSecret(tx, teamId, model.secret)
  if (secret === undefined)
    throw new SlopboxError('not_found', `no secret named ${model.secret}`, {
      hint: 'Create it first (`slopbox secret set`), or pass the key itself as `model.key`.',
    })
  if (secret.hosts.length === 0)
    await tx
      .updateTable('secrets')
      .set({ hosts: json([endpoint]) })
      .where('id', '=', secret.id)
      .execute()
  else if (!secret.hosts.includes(endpoint))
    throw new SlopboxError(
      'invalid_request',
      `body.model.secret: ${model.secret} may be sent to ${secret.hosts.join(', ')} but not to ${endpoint}`,
      { hint: 'Add the host to the secret, or choose another secret.' },
    )
}

/** Host and port of an endpoint in the spelling secrets use. Throws `invalid_request` when it cannot be one. */
function endpointOf(baseUrl: string): string {
  const url = new URL(baseUrl)
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw new SlopboxError('invalid_request', 'body.model.baseUrl: holds credentials, a query or a fragment', {
      hint: 'Give the key as `model.key`, and the address with its path only.',
    })
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
  return canonicalSecretHost('body.model.baseUrl', `${url.hostname}:${port}`)
}
