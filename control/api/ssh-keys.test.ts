import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { after, test } from 'node:test'
import { createAgent } from '../../contract/agents.ts'
import { SlopboxError } from '../../contract/errors.ts'
import { newId } from '../../contract/ids.ts'
import type { Output } from '../../contract/route.ts'
import { createSshKey, deleteSshKey, listSshKeys } from '../../contract/ssh-keys.ts'
import { authorize, syncGateway } from '../../contract/sync.ts'
import { startTestControl, testTokens } from '../testing.ts'
import { testHost } from '../testing-host.ts'

const control = await startTestControl()
after(() => control[Symbol.asyncDispose]())
const ada = await control.newUser('ada')
const bob = await control.newUser('bob')
const mine = { key: ada.key }
const host = testHost(control)
await host.sync()
const agent = await control.call(
  createAgent,
  { body: { name: 'Ada', model: { baseUrl: 'https://api.example.com/v1', id: 'm-1' } } },
  mine,
)
const sandboxId = agent.sandbox?.id ?? assert.fail()
await host.untilState(sandboxId, 'running')

const fails = (code: string) => (error: unknown) => error instanceof SlopboxError && error.code === code

/** The line of a new key, with a comment. */
function newPublicKey(comment = ''): string {
  const { x = '' } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
  const head = Buffer.from('0000000b7373682d6564323535313900000020', 'hex')
  return `ssh-ed25519 ${Buffer.concat([head, Buffer.from(x, 'base64url')]).toString('base64')} ${comment}`.trim()
}
const add = (publicKey: string, as = mine, name?: string): Promise<Output<typeof createSshKey>> =>
  control.call(createSshKey, { body: { publicKey, ...(name === undefined ? {} : { name }) } }, as)
const ask = (sshKey: string, target: object): Promise<Output<typeof authorize>> =>
  control.call(authorize, { body: { credentials: { sshKey }, target } } as never, { key: testTokens.gateway })

test('a key is registered with its fingerprint and a name from its comment, listed, and removed', async () => {
  // The fingerprint is what `ssh-keygen -l` says of this line.
  const line = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPMJ25oRdRH9Oiqg5uFtkx8LmbFzNgbZZjiCUkaP4we ada@laptop'
  const made = await add(line)
  assert.equal(made.fingerprint, 'SHA256:NQqDeOWbNS9XDVA9PQcBegEky+VTxd6ws/vHqx5QYgY')
  assert.deepEqual([made.name, made.type, made.lastUsedAt], ['ada-laptop', 'ssh-ed25519', null])
  assert.deepEqual((await control.call(listSshKeys, {}, mine)).items, [made])
  await assert.rejects(add(line), fails('conflict'))
  assert.deepEqual((await control.call(listSshKeys, {}, { key: bob.key })).items, [])
  await assert.rejects(control.call(deleteSshKey, { params: { id: made.id } }, { key: bob.key }), fails('not_found'))
  await control.call(deleteSshKey, { params: { id: made.id } }, mine)
  assert.deepEqual((await control.call(listSshKeys, {}, mine)).items, [])
  assert.equal((await add(newPublicKey())).name, 'ssh-ed25519')
  assert.equal((await add(newPublicKey('x'), mine, 'work laptop')).name, 'work laptop')
})

test('what is no public key is refused without being repeated', async () => {
  const pasted = '-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----'
  const answer = await control.inject(createSshKey, { body: { publicKey: pasted } }, mine)
  assert.equal(answer.status, 400)
  assert.match(JSON.stringify(answer.body), /body\.publicKey: the key is a private key/)
  assert.doesNotMatch(JSON.stringify(answer.body) + control.logged.join(''), /c2VjcmV0/)
  const more = await control.inject(createSshKey, { body: { publicKey: newPublicKey(), colour: 1 } }, mine)
  assert.equal(more.status, 400)
})

test('a key opens what its owner may reach; foreign, unknown and unregistered answer alike', async () => {
  const { fingerprint, id } = await add(newPublicKey())
  const sandbox = { kind: 'sandbox', sandboxId }
  const granted = await ask(fingerprint, sandbox)
  assert.deepEqual([granted.userId, granted.sandboxId, granted.sessionId], [ada.id, sandboxId, null])
  assert.equal((await ask(fingerprint, { kind: 'agent', agentId: agent.id })).sandboxId, sandboxId)
  const listed = (await control.call(listSshKeys, {}, mine)).items.find((key) => key.id === id)
  assert.notEqual(listed?.lastUsedAt, null)
  const foreign = await add(newPublicKey(), { key: bob.key })
  const refused = [
    ask(foreign.fingerprint, sandbox),
    ask('SHA256:nobody', sandbox),
    ask(fingerprint, { kind: 'sandbox', sandboxId: newId('sandbox') }),
  ].map((asked) => asked.catch((error: SlopboxError) => `${error.code} ${error.message}`))
  const [first, ...rest] = await Promise.all(refused)
  assert.match(typeof first === 'string' ? first : '', /^not_found /)
  assert.deepEqual(rest, [first, first])
})

test('one key of two people opens for each what is theirs', async () => {
  const line = newPublicKey()
  await add(line, { key: bob.key })
  const { fingerprint } = await add(line)
  assert.equal((await ask(fingerprint, { kind: 'sandbox', sandboxId })).userId, ada.id)
})

test('removing the key ends its grants, and the held request says so', async () => {
  const made = await add(newPublicKey())
  const { grantId } = await ask(made.fingerprint, { kind: 'sandbox', sandboxId })
  const sync = (hash: string | null, holdMs: number): Promise<Output<typeof syncGateway>> => {
    const body = { hash, holdMs, protocol: 1 as const, version: '0', grants: [grantId], readings: [], audit: [] }
    return control.call(syncGateway, { body }, { key: testTokens.gateway })
  }
  const before = await sync(null, 0)
  assert.deepEqual(before.ended, [])
  const held = sync(before.hash, 30_000)
  await control.call(deleteSshKey, { params: { id: made.id } }, mine)
  assert.deepEqual((await held).ended, [grantId])
  await assert.rejects(ask(made.fingerprint, { kind: 'sandbox', sandboxId }), fails('not_found'))
})
