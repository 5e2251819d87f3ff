import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { createAgent, getAgent, stopAgent } from '../../contract/agents.ts'
import type { Agent } from '../../contract/agents.ts'
import { createRule, listAudit, putSecret } from '../../contract/egress.ts'
import type { AuditRecord } from '../../contract/egress.ts'
import { SlopboxError } from '../../contract/errors.ts'
import { newId } from '../../contract/ids.ts'
import { deleteKey, listKeys, updateSettings } from '../../contract/people.ts'
import type { Call, Output } from '../../contract/route.ts'
import { authorize, syncEgress, syncGateway, syncHost } from '../../contract/sync.ts'
import type { Reading } from '../../contract/sync.ts'
import { getTemplate } from '../../contract/templates.ts'
import { getAgentUsage, getUsage } from '../../contract/usage.ts'
import { startControl } from '../main.ts'
import { signIn, startTestControl, testTokens } from '../testing.ts'
import { testHost } from '../testing-host.ts'

const control = await startTestControl()
after(() => control[Symbol.asyncDispose]())
const owner = await control.newUser('owner')
const stranger = await control.newUser('stranger')
const mine = { key: owner.key }
const host = testHost(control)
await host.sync()

const model = { baseUrl: 'https://api.example.com/v1', id: 'm-1' }
const fails = (code: string) => (error: unknown) => error instanceof SlopboxError && error.code === code

async function running(name: string, more: object = {}): Promise<Agent & { sandboxId: string }> {
  const agent = await control.call(createAgent, { body: { name, model, ...more } }, mine)
  const sandboxId = agent.sandbox?.id ?? assert.fail()
  await host.untilState(sandboxId, 'running')
  return { ...agent, sandboxId }
}

type EgressReply = Output<typeof syncEgress>
const egress = (more: Partial<Call<typeof syncEgress>['body']> = {}): Promise<EgressReply> => {
  const body = { hash: null, holdMs: 0, protocol: 1 as const, version: '0', readings: [], audit: [], ...more }
  return control.call(syncEgress, { body }, { key: testTokens.egress })
}
const gateway = (grants: string[], hash: string | null = null, holdMs = 0): Promise<Output<typeof syncGateway>> => {
  const body = { hash, holdMs, protocol: 1 as const, version: '0', grants, readings: [], audit: [] }
  return control.call(syncGateway, { body }, { key: testTokens.gateway })
}
const policyOf = (reply: EgressReply, sandboxId: string): EgressReply['policies'][number] =>
  reply.policies.find((each) => each.sandboxId === sandboxId) ?? assert.fail(`no policy for ${sandboxId}`)

test('every process has its own door', async () => {
  const body = { hash: null, protocol: 1, version: '0', readings: [], audit: [] }
  for (const key of [testTokens.host, testTokens.gateway, owner.key, 'x'])
    await assert.rejects(control.call(syncEgress, { body } as never, { key }), fails('unauthenticated'))
  await assert.rejects(control.call(syncHost, { body } as never, { key: testTokens.egress }), fails('unauthenticated'))
})

test('readings count once: repeated, late, out of order, in one report and from two at once', async () => {
  const agent = await running('Meter')
  const reading = (total: number, epoch = 'a'): Reading => ({
    sandboxId: agent.sandboxId,
    meter: 'egress_out_bytes',
    epoch,
    total,
  })
  await egress({ readings: [reading(100)] })
  await egress({ readings: [reading(100)] })
  await egress({ readings: [reading(300)] })
  await egress({ readings: [reading(200)] })
  await egress({ readings: [reading(350), reading(340)] })
  await Promise.all(Array.from({ length: 8 }, () => egress({ readings: [reading(400), reading(50, 'b')] })))
  await egress({ readings: [reading(10, 'a')] })
  const usage = await control.call(getAgentUsage, { params: { id: agent.id } }, mine)
  assert.equal(usage.totals.egress_out_bytes, 450)
  assert.equal(usage.bandwidthBytes, 450)
  assert.equal(usage.days.length, 1)
})

test('sources have their own counters, unknown sandboxes and builds are dropped', async () => {
  const agent = await running('Sources')
  const of = (sandboxId: string): Reading => ({ sandboxId, meter: 'cpu_ms', epoch: 'e', total: 7 })
  host.readings = [of(agent.sandboxId), of(newId('build')), of('sb0000000000000000')]
  await host.sync()
  await egress({ readings: [of(agent.sandboxId)] })
  host.readings = []
  const usage = await control.call(getAgentUsage, { params: { id: agent.id } }, mine)
  assert.equal(usage.totals.cpu_ms, 14)
  const theirs = await control.call(getUsage, {}, { key: stranger.key })
  assert.equal(theirs.totals.cpu_ms, 0)
  await assert.rejects(
    control.call(getAgentUsage, { params: { id: agent.id } }, { key: stranger.key }),
    fails('not_found'),
  )
})

test('a policy holds the rules of all scopes, only its own team’s secrets, and the model’s alias', async () => {
  const agent = await running('Policy', { model: { ...model, key: 'k-1' }, allow: ['Own.Example.'] })
  const rule = (host: string, scope: 'global' | 'team', key: string) =>
    control.call(createRule, { body: { host, scope } }, { key })
  await rule('global.example', 'global', control.operator.key)
  await rule('team.example', 'team', owner.key)
  await rule('theirs.example', 'team', stranger.key)
  await control.call(putSecret, { params: { name: 'theirs' }, body: { value: 'v' } }, { key: stranger.key })
  const policy = policyOf(await egress(), agent.sandboxId)
  assert.deepEqual(policy.rules.map((each) => each.host).toSorted(), ['global.example', 'own.example', 'team.example'])
  assert.ok(policy.rules.every((each) => !each.allowReserved))
  assert.ok(!policy.secrets.some((each) => each.name === 'theirs'))
  const secret = policy.secrets.find((each) => each.name === 'model-policy')
  assert.deepEqual(policy.aliases, [
    {
      name: 'model.slopbox.internal',
      target: 'https://api.example.com/v1',
      secretId: secret?.id,
      modelApi: 'openai-completions',
    },
  ])
})

test('a template build may reach the registries of its host and nothing else', async () => {
  await host.sync()
  const buildId = host.desired?.templates.find((each) => each.name === 'base')?.buildId ?? assert.fail()
  const policy = policyOf(await egress(), buildId)
  assert.deepEqual(
    policy.rules.map(({ host: name, port, allowReserved }) => [name, port, allowReserved]),
    [
      ['registry.example', null, true],
      ['mirror.example', 8443, true],
    ],
  )
  assert.deepEqual([policy.secrets, policy.aliases, policy.teamId], [[], [], null])
})

test('a held request is answered as soon as a policy or a setting changes', async () => {
  const before = await egress()
  const held = egress({ hash: before.hash, holdMs: 30_000 })
  await control.call(createRule, { body: { host: 'new.example' } }, mine)
  const next = await held
  assert.notEqual(next.hash, before.hash)
  const again = egress({ hash: next.hash, holdMs: 30_000 })
  await control.call(updateSettings, { body: { allowedRanges: ['10.9.0.0/16'] } }, { key: control.operator.key })
  assert.deepEqual((await again).allowedRanges, ['10.9.0.0/16'])
})

test('an unchanged set is answered with the same hash when the time is over', async () => {
  const before = await egress()
  assert.equal((await egress({ hash: before.hash, holdMs: 50 })).hash, before.hash)
})

test('an audit record is stored once and belongs to the team of its sandbox', async () => {
  const agent = await running('Audited')
  const record: AuditRecord = {
    id: newId('audit'),
    at: new Date().toISOString(),
    source: 'egress',
    kind: 'http',
    decision: 'deny',
    reason: 'no_rule',
    rule: null,
    agentId: agent.id,
    sandboxId: agent.sandboxId,
    userId: null,
    actor: null,
    method: 'GET',
    host: 'denied.example',
    port: 443,
    path: '/',
    status: 403,
    bytesOut: 1,
    bytesIn: 2,
    durationMs: 3,
    detail: {},
  }
  await egress({ audit: [record] })
  await egress({ audit: [record] })
  const { items } = await control.call(listAudit, { query: { host: 'denied.example' } }, mine)
  assert.deepEqual(items, [record])
  const theirs = await control.call(listAudit, { query: { host: 'denied.example' } }, { key: stranger.key })
  assert.deepEqual(theirs.items, [])
})

const ask = (credentials: object, target: object): Promise<Output<typeof authorize>> =>
  control.call(authorize, { body: { credentials, target } } as never, { key: testTokens.gateway })

test('the gateway learns who may reach what, and headers for the agent’s own UI', async () => {
  const agent = await running('Door')
  const target = { kind: 'agent-ui', agentId: agent.id }
  const granted = await ask({ apiKey: owner.key }, target)
  assert.equal(granted.sandboxId, agent.sandboxId)
  assert.equal(granted.port, 18_789)
  assert.deepEqual(granted.headers, {
    'x-forwarded-user': owner.id,
    'x-openclaw-scopes': 'operator.read,operator.write,operator.questions',
  })
  assert.equal(granted.trustingPort, null)
  for (const other of [
    { kind: 'sandbox', sandboxId: agent.sandboxId },
    { kind: 'agent', agentId: agent.id },
  ])
    assert.equal((await ask({ apiKey: owner.key }, other)).trustingPort, 18_789)
  assert.equal((await ask({ apiKey: owner.key }, target)).grantId, granted.grantId)
  await assert.rejects(ask({ apiKey: stranger.key }, target), fails('not_found'))
  await assert.rejects(
    ask({ apiKey: stranger.key }, { kind: 'sandbox', sandboxId: agent.sandboxId }),
    fails('not_found'),
  )
  await assert.rejects(ask({ apiKey: owner.key }, { kind: 'agent', agentId: 'ag0000000000000000' }), fails('not_found'))
  await assert.rejects(ask({}, target), fails('unauthenticated'))
  await assert.rejects(ask({ sessionId: 'nonsense' }, target), fails('unauthenticated'))
  await control.call(stopAgent, { params: { id: agent.id } }, mine)
  await assert.rejects(ask({ apiKey: owner.key }, target), fails('wrong_state'))
})

test('a grant ends with the key, the session, or the running of its agent, and the held request says so', async () => {
  const agent = await running('Grants')
  const target = { kind: 'agent-ui', agentId: agent.id }
  const other = await control.newUser('other-device')
  const byKey = await ask({ apiKey: owner.key }, target)
  const cookie = await signIn(control, owner.email, owner.password)
  const bySession = await ask({ cookie }, target)
  assert.notEqual(byKey.grantId, bySession.grantId)
  const open = [byKey.grantId, bySession.grantId]
  const first = await gateway([...open, 'gr0000000000000000'])
  assert.deepEqual(first.ended, ['gr0000000000000000'])

  const all = await gateway(open)
  assert.deepEqual(all.ended, [])
  const held = gateway(open, all.hash, 30_000)
  const { items } = await control.call(listKeys, {}, mine)
  const spare = items[0] ?? assert.fail()
  const byAnother = signIn(control, owner.email, owner.password)
  await control.call(
    deleteKey,
    { params: { id: spare.id } },
    { cookie: await byAnother, headers: { origin: 'http://slopbox.localhost:8480' } },
  )
  assert.deepEqual((await held).ended, [byKey.grantId])

  const rest = await gateway([bySession.grantId])
  const stopped = gateway([bySession.grantId], rest.hash, 30_000)
  const again = {
    cookie: await signIn(control, owner.email, owner.password),
    headers: { origin: 'http://slopbox.localhost:8480' },
  }
  await control.call(stopAgent, { params: { id: agent.id } }, again)
  assert.deepEqual((await stopped).ended, [bySession.grantId])
  assert.ok(other.key)
})

test('a host says how a template is coming along, and everybody can read it', async () => {
  await host.sync()
  const key = host.desired?.templates.find((each) => each.name === 'base')?.key ?? assert.fail()
  const progress = { step: 1, steps: 3, title: 'add the user', lines: ['one'] }
  const body = {
    hash: null,
    holdMs: 0,
    protocol: 1 as const,
    name: 'builder',
    version: '0',
    drivers: [],
    capacity: { cpus: 1, memoryMiB: 1, diskGiB: 1 },
    registries: [],
    sandboxes: [],
    readings: [],
  }
  const say = (template: object) =>
    control.call(syncHost, { body: { ...body, templates: [template] } } as never, { key: testTokens.host })
  const common = { key, reason: null, sizeBytes: null }
  await say({ ...common, state: 'absent', progress: null })
  await say({ ...common, state: 'building', progress })
  const { key: someone } = stranger
  const building = await control.call(getTemplate, { params: { name: 'base' } }, { key: someone })
  assert.deepEqual([building.state, building.progress], ['building', progress])
  await say({ ...common, state: 'ready', progress: null, sizeBytes: 5 })
  const ready = await control.call(getTemplate, { params: { name: 'base' } }, { key: someone })
  assert.deepEqual([ready.state, ready.sizeBytes], ['ready', 5])
  assert.ok(ready.builtAt !== null)
  assert.equal((await control.call(getTemplate, { params: { name: 'openclaw' } }, { key: someone })).state, 'absent')
  await assert.rejects(control.call(getTemplate, { params: { name: 'nope' } }, { key: someone }), fails('not_found'))
})

test('an agent’s details are the same for a control that has just started', async () => {
  const user = await control.newUser('restart')
  const agent = await control.call(createAgent, { body: { name: 'Same', model } }, { key: user.key })
  await host.untilState(agent.sandbox?.id ?? '', 'running')
  const before = await host.sync()
  await using second = await startControl(control.deps)
  const answer = await second.app.server.inject({
    method: syncHost.method,
    url: syncHost.path,
    headers: { authorization: `Bearer ${testTokens.host}` },
    payload: host.lastBody(),
  })
  assert.equal(answer.json<{ hash: string }>().hash, before.hash)
  assert.equal((await control.call(getAgent, { params: { id: agent.id } }, { key: user.key })).state, 'running')
})
