import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { sql } from 'kysely'
import {
  agentEvents,
  createAgent,
  createProxyToken,
  deleteAgent,
  deleteProxyToken,
  getAgent,
  startAgent,
  stopAgent,
} from '../../contract/agents.ts'
import type { Agent, ProxyToken } from '../../contract/agents.ts'
import { listAudit } from '../../contract/egress.ts'
import { SlopboxError } from '../../contract/errors.ts'
import type { Output } from '../../contract/route.ts'
import { syncEgress } from '../../contract/sync.ts'
import { hashToken } from '../auth/tokens.ts'
import { startTestControl, testTokens } from '../testing.ts'

const control = await startTestControl({ proxyUrl: 'http://10.0.0.5:3129' })
after(() => control[Symbol.asyncDispose]())
const owner = await control.newUser('owner')
const stranger = await control.newUser('stranger')
const mine = { key: owner.key }

const fails = (code: string) => (error: unknown) => error instanceof SlopboxError && error.code === code
const model = { baseUrl: 'https://api.example.com/v1', id: 'm-1' }
const newAgent = (name: string): Promise<Agent> => control.call(createAgent, { body: { name, model } }, mine)
const make = ({ id }: Agent): Promise<ProxyToken> => control.call(createProxyToken, { params: { id } }, mine)
const revoke = ({ id }: Agent): Promise<{ ok: true }> => control.call(deleteProxyToken, { params: { id } }, mine)

const egress = (hash: string | null, holdMs: number): Promise<Output<typeof syncEgress>> => {
  const body = { hash, holdMs, protocol: 1 as const, version: '0', readings: [], audit: [] }
  return control.call(syncEgress, { body }, { key: testTokens.egress })
}
const hashIn = (reply: Output<typeof syncEgress>, agent: Agent): string | null | undefined =>
  reply.policies.find((policy) => policy.agentId === agent.id)?.proxyTokenHash

test('a token is made once, kept as its hash only, and known to egress by it', async () => {
  const agent = await newAgent('Ada')
  assert.equal(agent.proxyTokenAt, null)
  assert.equal(hashIn(await egress(null, 0), agent), null)
  const made = await make(agent)
  assert.match(made.token, /^[0-9A-Za-z]{40}$/)
  assert.equal(made.username, agent.id)
  assert.equal(made.proxyUrl, `http://${agent.id}:${made.token}@10.0.0.5:3129`)
  assert.equal(hashIn(await egress(null, 0), agent), hashToken(made.token))
  const now = await control.call(getAgent, { params: { id: agent.id } }, mine)
  assert.ok(now.proxyTokenAt !== null)
  const { rows } = await sql<{ line: string }>`
    select row_to_json(agents)::text as line from agents
    union all select row_to_json(audit)::text from audit
    union all select row_to_json(events)::text from events`.execute(control.db)
  const kept = rows.map(({ line }) => line).join('\n')
  assert.ok(kept.includes(hashToken(made.token)))
  assert.ok(!(kept + control.logged.join('\n')).includes(made.token))
})

test('replacing and revoking reach an egress that waits, and are told and audited once each', async () => {
  const agent = await newAgent('Bo')
  const first = await make(agent)
  const before = await egress(null, 0)
  const replaced = egress(before.hash, 20_000)
  const second = await make(agent)
  assert.notEqual(second.token, first.token)
  const then = await replaced
  assert.equal(hashIn(then, agent), hashToken(second.token))
  const revoked = egress(then.hash, 20_000)
  await revoke(agent)
  assert.equal(hashIn(await revoked, agent), null)
  await revoke(agent)
  assert.equal((await control.call(getAgent, { params: { id: agent.id } }, mine)).proxyTokenAt, null)
  const events = await control.call(agentEvents, { params: { id: agent.id } }, mine)
  assert.deepEqual(
    events.items.flatMap(({ kind }) => (kind.startsWith('proxyToken.') ? [kind] : [])),
    ['proxyToken.revoked', 'proxyToken.replaced', 'proxyToken.created'],
  )
  const audit = await control.call(listAudit, { query: { agentId: agent.id } }, mine)
  const acts = audit.items.filter(({ method }) => method?.startsWith('agents.proxyToken.'))
  assert.deepEqual(
    acts.map(({ method, detail, userId }) => [method, detail['done'], userId]),
    [
      ['agents.proxyToken.delete', 'revoked', owner.id],
      ['agents.proxyToken.create', 'replaced', owner.id],
      ['agents.proxyToken.create', 'created', owner.id],
    ],
  )
})

test('a stopped agent is denied elsewhere too; started again, it has the same token', async () => {
  const agent = await newAgent('Cy')
  const { token } = await make(agent)
  const before = await egress(null, 0)
  const stopped = egress(before.hash, 20_000)
  await control.call(stopAgent, { params: { id: agent.id } }, mine)
  assert.equal(hashIn(await stopped, agent), null)
  await control.call(startAgent, { params: { id: agent.id } }, mine)
  assert.equal(hashIn(await egress(null, 0), agent), hashToken(token))
})

test("another team's agent and one that never was are not found; a destroyed one gets no token", async () => {
  const agent = await newAgent('Di')
  const { token } = await make(agent)
  for (const route of [createProxyToken, deleteProxyToken]) {
    const theirs = control.call(route, { params: { id: agent.id } }, { key: stranger.key })
    await assert.rejects(theirs, fails('not_found'))
    await assert.rejects(control.call(route, { params: { id: 'ag0000000000000000' } }, mine), fails('not_found'))
    await assert.rejects(control.call(route, { params: { id: agent.id } }, {}), fails('unauthenticated'))
  }
  assert.equal(hashIn(await egress(null, 0), agent), hashToken(token))
  await control.call(deleteAgent, { params: { id: agent.id } }, mine)
  // Never placed, it may be forgotten already.
  await assert.rejects(make(agent), (error) => fails('wrong_state')(error) || fails('not_found')(error))
  assert.equal(hashIn(await egress(null, 0), agent), undefined)
})

test('where the operator has the proxy off, a token is made without an address', async () => {
  await using off = await startTestControl()
  const user = await off.newUser('owner')
  const agent = await off.call(createAgent, { body: { name: 'Ed', model } }, { key: user.key })
  const made = await off.call(createProxyToken, { params: { id: agent.id } }, { key: user.key })
  assert.equal(made.proxyUrl, null)
})
