import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import {
  agentEvents,
  createAgent,
  deleteAgent,
  destroyAgentSandbox,
  getAgent,
  listAgentFiles,
  listAgents,
  provisionAgent,
  putAgentFile,
  restartAgent,
  startAgent,
  stopAgent,
  updateAgent,
  wipeAgent,
} from '../../contract/agents.ts'
import type { Agent } from '../../contract/agents.ts'
import { listSecrets, putSecret } from '../../contract/egress.ts'
import { SlopboxError } from '../../contract/errors.ts'
import { startTestControl } from '../testing.ts'
import { testHost } from '../testing-host.ts'

const control = await startTestControl()
after(() => control[Symbol.asyncDispose]())
const owner = await control.newUser('owner')
const stranger = await control.newUser('stranger')
const mine = { key: owner.key }
const host = testHost(control)
await host.sync()

const model = { baseUrl: 'https://api.example.com/v1', id: 'm-1' }
const fails = (code: string, message?: RegExp) => (error: unknown) => {
  assert(error instanceof SlopboxError)
  assert.equal(error.code, code, error.message)
  if (message !== undefined) assert.match(error.message, message)
  return true
}
const create = (name: string, more: object = {}): Promise<Agent> =>
  control.call(createAgent, { body: { name, model, ...more } }, mine)
const get = (id: string): Promise<Agent> => control.call(getAgent, { params: { id } }, mine)
const sandboxOf = (agent: Agent): string => agent.sandbox?.id ?? assert.fail('it has no sandbox')

async function running(name: string): Promise<Agent> {
  const agent = await create(name)
  await host.untilState(sandboxOf(agent), 'running')
  return await get(agent.id)
}

test('an agent is placed, made, started and says so at each step', async () => {
  const agent = await create('Ada', { personality: { preset: 'engineer' } })
  assert.equal(agent.state, 'provisioning')
  // The reconciler may have placed it before the answer was put together.
  assert.ok(agent.step === 'placing' || agent.step === 'template', `${agent.step}`)
  await host.untilState(sandboxOf(agent), 'running')
  const now = await get(agent.id)
  assert.equal(now.state, 'running')
  assert.equal(now.url, `http://slopbox.localhost:8480/agents/${agent.id}/gateway/`)
  assert.ok(now.sandbox?.timings.placedMs !== undefined && now.sandbox.timings.readyMs !== undefined)
  const { items } = await control.call(agentEvents, { params: { id: agent.id } }, mine)
  assert.deepEqual(items.map((event) => event.kind).toReversed(), ['agent.created', 'sandbox.running'])
})

test('its key is a secret bound to its endpoint, and is nowhere in what the host gets', async () => {
  const key = 'sk-very-secret-canary'
  const agent = await create('Keyed One', { model: { ...model, key } })
  assert.equal(agent.model.secret, 'model-keyed-one')
  const { items } = await control.call(listSecrets, {}, mine)
  const secret = items.find((each) => each.name === 'model-keyed-one')
  assert.deepEqual(secret?.hosts, ['api.example.com'])
  const desired = await host.until((all) => all.sandboxes.some((each) => each.agentId === agent.id))
  const text = JSON.stringify(desired)
  assert.ok(!text.includes(key))
  assert.ok(text.includes(secret?.placeholder ?? 'none'))
  assert.ok(!control.logged.some((line) => line.includes(key)))
  assert.ok(!JSON.stringify(await control.db.selectFrom('audit').selectAll().execute()).includes(key))
  assert.ok(!JSON.stringify(await control.db.selectFrom('secrets').selectAll().execute()).includes(key))
})

test('a second key for a taken secret name does not overwrite the first', async () => {
  await control.call(putSecret, { params: { name: 'model-clash' }, body: { value: 'one' } }, mine)
  const agent = await create('Clash', { model: { ...model, key: 'two' } })
  assert.equal(agent.model.secret, `model-${agent.id}`)
})

test('a key that is replaced keeps its secret, and names another endpoint once the endpoint changes', async () => {
  const agent = await create('Rekey', { model: { ...model, key: 'first' } })
  const changed = await control.call(
    updateAgent,
    { params: { id: agent.id }, body: { model: { key: 'second', baseUrl: 'https://other.example/v1' } } },
    mine,
  )
  assert.equal(changed.model.secret, 'model-rekey')
  const { items } = await control.call(listSecrets, {}, mine)
  assert.deepEqual(items.find((each) => each.name === 'model-rekey')?.hosts, ['other.example'])
})

test('a secret goes only to the hosts it names', async () => {
  await control.call(putSecret, { params: { name: 'elsewhere' }, body: { value: 'x', hosts: ['a.example'] } }, mine)
  await assert.rejects(
    create('Leak', { model: { ...model, secret: 'elsewhere' } }),
    fails('invalid_request', /a\.example but not to api\.example\.com/),
  )
  await assert.rejects(create('Leak', { model: { ...model, secret: 'missing' } }), fails('not_found', /missing/))
  await assert.rejects(
    create('Leak', { model: { ...model, baseUrl: 'https://u:p@api.example.com/v1' } }),
    fails('invalid_request'),
  )
  await assert.rejects(create('Leak', { model: { ...model, secret: 'elsewhere', key: 'k' } }), fails('invalid_request'))
  const { items } = await control.call(listAgents, {}, mine)
  assert.ok(!items.some((agent) => agent.name === 'Leak'))
})

test('names are unique in a team, whatever their case, and free again after destruction was asked for', async () => {
  const agent = await create('Twin')
  await assert.rejects(create('tWiN'), fails('conflict', /tWiN exists already/))
  const other = await create('Other')
  await assert.rejects(
    control.call(updateAgent, { params: { id: other.id }, body: { name: 'Twin' } }, mine),
    fails('conflict'),
  )
  await control.call(createAgent, { body: { name: 'Twin', model } }, { key: stranger.key })
  await control.call(deleteAgent, { params: { id: agent.id } }, mine)
  await create('Twin')
})

test('another team sees nothing and can do nothing: all of it is not found', async () => {
  const agent = await create('Private')
  const params = { id: agent.id }
  const theirs = { key: stranger.key }
  for (const route of [getAgent, deleteAgent, startAgent, stopAgent, restartAgent, provisionAgent, listAgentFiles])
    await assert.rejects(control.call(route, { params } as never, theirs), fails('not_found'), route.id)
  await assert.rejects(control.call(wipeAgent, { params, body: {} }, theirs), fails('not_found'))
  await assert.rejects(control.call(updateAgent, { params, body: { name: 'x' } }, theirs), fails('not_found'))
  await assert.rejects(control.call(agentEvents, { params }, theirs), fails('not_found'))
  const { items } = await control.call(listAgents, {}, theirs)
  assert.ok(!items.some((each) => each.id === agent.id))
  assert.equal((await get(agent.id)).name, 'Private')
})

test('stop and start keep disk, workspace and place; repeating them changes nothing', async () => {
  const agent = await running('Rest')
  const params = { id: agent.id }
  assert.equal((await control.call(stopAgent, { params }, mine)).state, 'stopping')
  await control.call(stopAgent, { params }, mine)
  await host.untilState(sandboxOf(agent), 'stopped')
  assert.equal((await get(agent.id)).state, 'stopped')
  await assert.rejects(control.call(restartAgent, { params }, mine), fails('wrong_state', /stopped/))
  assert.equal((await control.call(startAgent, { params }, mine)).state, 'starting')
  await control.call(startAgent, { params }, mine)
  await host.untilState(sandboxOf(agent), 'running')
  const back = await get(agent.id)
  assert.equal(back.sandbox?.id, agent.sandbox?.id)
  assert.equal(back.sandbox?.hostId, agent.sandbox?.hostId)
  const { items } = await control.call(agentEvents, { params }, mine)
  assert.equal(items.filter((event) => event.kind === 'agent.stopped').length, 1)
})

test('a restart is a new generation, and the agent runs again once the host has reached it', async () => {
  const agent = await running('Again')
  const before = host.desired?.sandboxes.find((each) => each.agentId === agent.id)?.generation ?? 0
  const restarting = await control.call(restartAgent, { params: { id: agent.id } }, mine)
  assert.equal(restarting.state, 'starting')
  await host.until((all) => all.sandboxes.some((each) => each.agentId === agent.id && each.generation === before + 1))
  assert.equal((await get(agent.id)).state, 'running')
})

test('a failed start shows its reason and is tried again on start', async () => {
  const agent = await running('Fails')
  const id = sandboxOf(agent)
  const report = host.sandboxes.get(id) ?? assert.fail()
  host.sandboxes.set(id, { ...report, state: 'error', reason: 'the disk is full', ready: false })
  await host.sync()
  const broken = await get(agent.id)
  assert.deepEqual([broken.state, broken.reason], ['error', 'the disk is full'])
  const params = { id: agent.id }
  assert.equal((await control.call(startAgent, { params }, mine)).state, 'starting')
  await host.sync()
  assert.equal((await get(agent.id)).state, 'starting')
  await host.untilState(id, 'running')
  assert.equal((await get(agent.id)).state, 'running')
})

test('a wipe gives a fresh disk on the same host, with the workspace or with another', async () => {
  const agent = await running('Wiped')
  const params = { id: agent.id }
  const volumeOf = (id: string): string | undefined =>
    host.desired?.sandboxes.find((each) => each.agentId === id && each.state === 'running')?.spec.volumes[0]?.id
  const first = volumeOf(agent.id)
  let before = sandboxOf(agent)
  for (const workspace of ['keep', 'delete'] as const) {
    const volume = volumeOf(agent.id)
    const wiping = await control.call(wipeAgent, { params, body: { workspace } }, mine)
    assert.equal(wiping.state, 'destroying')
    const asked = await host.sync()
    const old = asked.sandboxes.find((each) => each.id === before)
    assert.deepEqual([old?.state, old?.deleteVolumes], ['destroyed', workspace === 'keep' ? [] : [volume]])
    await host.until((all) =>
      all.sandboxes.some((each) => each.agentId === agent.id && each.id !== before && each.state === 'running'),
    )
    const now = await get(agent.id)
    assert.equal(now.state, 'running')
    assert.equal(now.sandbox?.hostId, agent.sandbox?.hostId)
    assert.equal(volumeOf(agent.id) === first, workspace === 'keep')
    before = sandboxOf(now)
  }
})

test('a sandbox can go without its agent, and the next one gets the same workspace', async () => {
  const agent = await running('Bare')
  const params = { id: agent.id }
  await control.call(destroyAgentSandbox, { params, query: { workspace: 'keep' } }, mine)
  await host.until((all) => !all.sandboxes.some((each) => each.agentId === agent.id))
  const bare = await get(agent.id)
  assert.deepEqual([bare.state, bare.sandbox, bare.url], ['none', null, null])
  await assert.rejects(control.call(startAgent, { params }, mine), fails('wrong_state', /has no sandbox/))
  await control.call(provisionAgent, { params }, mine)
  const desired = await host.until((all) => all.sandboxes.some((each) => each.agentId === agent.id))
  assert.equal(desired.sandboxes.find((each) => each.agentId === agent.id)?.spec.volumes[0]?.id, agent.id)
})

test('a destroyed agent is seen going, then not found, and its workspace is deleted on its host', async () => {
  const agent = await running('Gone')
  const params = { id: agent.id }
  await control.call(deleteAgent, { params }, mine)
  await control.call(deleteAgent, { params }, mine)
  assert.equal((await get(agent.id)).state, 'destroying')
  await assert.rejects(control.call(startAgent, { params }, mine), fails('wrong_state', /being destroyed/))
  const asked = await host.sync()
  assert.deepEqual(asked.sandboxes.find((each) => each.agentId === agent.id)?.deleteVolumes, [agent.id])
  await host.until((all) => !all.sandboxes.some((each) => each.agentId === agent.id))
  await host.until(() => true)
  await untilGone(agent.id)
})

test('an agent without a sandbox still has its workspace deleted when it is destroyed', async () => {
  const agent = await running('Leftover')
  const params = { id: agent.id }
  await control.call(destroyAgentSandbox, { params, query: { workspace: 'keep' } }, mine)
  await host.until((all) => !all.sandboxes.some((each) => each.agentId === agent.id))
  await control.call(deleteAgent, { params }, mine)
  const asked = await host.sync()
  const tomb = asked.sandboxes.find((each) => each.id === sandboxOf(agent))
  assert.deepEqual([tomb?.state, tomb?.deleteVolumes], ['destroyed', [agent.id]])
  await host.until((all) => !all.sandboxes.some((each) => each.id === sandboxOf(agent)))
  await untilGone(agent.id)
})

test('personality, model and own files reach the sandbox while it runs', async () => {
  const agent = await running('Soul')
  const params = { id: agent.id }
  const file = (name: string): string =>
    host.desired?.sandboxes
      .find((each) => each.agentId === agent.id)
      ?.spec.files.find((each) => each.path.endsWith(name))?.content ?? ''
  await control.call(updateAgent, { params, body: { personality: { soul: 'SOUL-MARK' }, model: { id: 'm-2' } } }, mine)
  await host.sync()
  assert.match(file('SOUL.md'), /SOUL-MARK/)
  assert.match(file('openclaw.json'), /slopbox\/m-2/)
  const own = await control.call(
    putAgentFile,
    { params: { ...params, name: 'USER.md' }, body: { content: 'me' } },
    mine,
  )
  assert.deepEqual(own, { name: 'USER.md', content: 'me', source: 'own' })
  await host.sync()
  assert.equal(file('USER.md'), 'me')
  const made = await control.call(putAgentFile, { params: { ...params, name: 'USER.md' }, body: { content: '' } }, mine)
  assert.equal(made.source, 'personality')
  const { items } = await control.call(listAgentFiles, { params }, mine)
  assert.match(items.find((each) => each.name === 'SOUL.md')?.content ?? '', /SOUL-MARK/)
})

test('an agent that shall not start waits on no host until it is started', async () => {
  const agent = await create('Later', { start: false })
  assert.equal(agent.state, 'stopped')
  assert.equal(agent.sandbox?.hostId, null)
  await control.call(startAgent, { params: { id: agent.id } }, mine)
  await host.untilState(sandboxOf(agent), 'running')
})

test('what fits nowhere says why', async () => {
  const agent = await create('Giant', { size: { cpus: 2, memoryMiB: 200_000 } })
  await host.until(() => true)
  const deadline = Date.now() + 10_000
  while ((await get(agent.id)).reason === null && Date.now() < deadline) await host.sync()
  const now = await get(agent.id)
  assert.equal(now.state, 'provisioning')
  assert.match(now.reason ?? '', /200000 MiB fit on no host; the largest has 8 CPUs and 65536 MiB/)
  await control.call(deleteAgent, { params: { id: agent.id } }, mine)
  await untilGone(agent.id)
})

test('bad hosts, unknown fields and too many agents change nothing', async () => {
  await assert.rejects(create('Bad', { allow: ['http://x.example/'] }), fails('invalid_request', /body\.allow\.0/))
  await assert.rejects(create('Bad', { colour: 'red' }), fails('invalid_request', /colour/))
  await assert.rejects(create('x'.repeat(64)), fails('invalid_request', /body\.name/))
  await control.db.updateTable('plans').set({ max_agents: 1 }).where('is_default', '=', true).execute()
  await assert.rejects(create('Bad'), fails('conflict', /room for 1 agents/))
  await control.db.updateTable('plans').set({ max_agents: 100 }).where('is_default', '=', true).execute()
  const { items } = await control.call(listAgents, { query: { limit: 200 } }, mine)
  assert.ok(!items.some((agent) => agent.name === 'Bad'))
})

async function untilGone(id: string): Promise<void> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline;) {
    const answer = await control.inject(getAgent, { params: { id } }, mine)
    if (answer.status === 404) return
    await host.sync()
  }
  assert.fail(`agent ${id} never went`)
}
