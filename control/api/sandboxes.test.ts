import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { createAgent, getAgent } from '../../contract/agents.ts'
import { SlopboxError } from '../../contract/errors.ts'
import {
  createSandbox,
  extendSandbox,
  getSandbox,
  killSandbox,
  listSandboxes,
  pauseSandbox,
  resumeSandbox,
  startSandbox,
  stopSandbox,
} from '../../contract/sandboxes.ts'
import type { Sandbox } from '../../contract/sandboxes.ts'
import { authorize, syncEgress } from '../../contract/sync.ts'
import { expireSandboxes } from '../reconcilers/expire.ts'
import { startTestControl, testTokens } from '../testing.ts'
import { testHost } from '../testing-host.ts'

let now = new Date('2026-11-20T12:00:00Z')
const control = await startTestControl({ clock: () => now })
after(() => control[Symbol.asyncDispose]())
const mine = { key: (await control.newUser('owner')).key }
const theirs = { key: (await control.newUser('stranger')).key }
const host = testHost(control, 'one', 8192)
await host.sync()

const fails = (code: string, message?: RegExp) => (error: unknown) =>
  error instanceof SlopboxError && error.code === code && (message === undefined || message.test(error.message))

const create = (body: object = {}): Promise<Sandbox> => obeyed(control.call(createSandbox, { body }, mine))

/** What answers only when the host has obeyed. */
async function obeyed<T>(call: Promise<T>): Promise<T> {
  let over = false
  const ended = call.then(
    () => (over = true),
    () => (over = true),
  )
  while (!over) await Promise.race([ended, host.until(() => true)])
  return await call
}

test('creation answers when the sandbox runs, with its stages', async () => {
  const sandbox = await create({ metadata: { for: 'me' }, env: { A: 'b' }, allow: ['x.example'] })
  assert.deepEqual([sandbox.state, sandbox.template, sandbox.metadata['for']], ['running', 'base', 'me'])
  assert.ok(sandbox.timings.placedMs !== undefined)
  const spec = host.desired?.sandboxes.find((each) => each.id === sandbox.id)?.spec
  assert.deepEqual([spec?.env, spec?.start, spec?.ready], [{ A: 'b' }, null, null])
  const body = { hash: null, holdMs: 0, protocol: 1 as const, version: '0', readings: [], audit: [] }
  const { policies } = await control.call(syncEgress, { body }, { key: testTokens.egress })
  const policy = policies.find((each) => each.sandboxId === sandbox.id)
  assert.deepEqual(
    policy?.rules.map((rule) => rule.host),
    ['x.example'],
  )
})

test('a sandbox of another team is not found, and neither is one that is gone', async () => {
  const { id } = await create()
  for (const route of [getSandbox, startSandbox, stopSandbox, killSandbox])
    await assert.rejects(control.call(route, { params: { id } } as never, theirs), fails('not_found'), route.id)
  const { items } = await control.call(listSandboxes, {}, theirs)
  assert.deepEqual(items, [])
  await control.call(killSandbox, { params: { id } }, mine)
  await control.call(killSandbox, { params: { id } }, mine)
  await host.until((all) => !all.sandboxes.some((each) => each.id === id))
  await assert.rejects(control.call(getSandbox, { params: { id } }, mine), fails('not_found'))
})

test('stop and start, each repeated', async () => {
  const { id } = await create()
  const params = { id }
  await control.call(stopSandbox, { params }, mine)
  await host.untilState(id, 'stopped')
  assert.equal((await control.call(stopSandbox, { params }, mine)).state, 'stopped')
  await control.call(startSandbox, { params }, mine)
  await host.untilState(id, 'running')
  assert.equal((await control.call(startSandbox, { params }, mine)).state, 'running')
})

test('an unknown template is named together with those there are', async () => {
  const error = await control
    .call(createSandbox, { body: { template: 'nope' } }, mine)
    .catch((caught: unknown) => caught)
  assert.ok(error instanceof SlopboxError)
  assert.deepEqual([error.code, error.message], ['invalid_request', 'body.template: no template nope'])
  assert.match(error.hint ?? '', /base, openclaw/)
})

test('one that fits nowhere is refused at once and leaves nothing', async () => {
  const body = { size: { memoryMiB: 100_000 } }
  await assert.rejects(control.call(createSandbox, { body }, mine), fails('no_capacity', /100000 MiB fit on no host/))
  const { items } = await control.call(listSandboxes, {}, mine)
  assert.ok(!items.some((each) => each.size.memoryMiB === 100_000))
})

test('one that fails gives its reason and is destroyed', async () => {
  const created = control.call(createSandbox, { body: { metadata: { fails: 'yes' } } }, mine)
  created.catch(() => {})
  const known = new Set(host.sandboxes.keys())
  let id: string | undefined
  for (const deadline = Date.now() + 10_000; id === undefined;) {
    id = (await host.sync()).sandboxes.find((each) => !known.has(each.id))?.id
    if (Date.now() > deadline) assert.fail('it was never placed')
  }
  host.sandboxes.set(id, {
    id,
    state: 'error',
    step: null,
    reason: 'mount: no space left',
    generation: 1,
    ready: false,
    marks: {},
    restarts: 0,
  })
  await host.sync()
  await assert.rejects(created, fails('unavailable', /did not start: mount: no space left/))
  assert.equal((await host.sync()).sandboxes.find((each) => each.id === id)?.state, 'destroyed')
})

test('its time over, a sandbox is destroyed', async () => {
  const { id, expiresAt } = await create({ timeoutMs: 60_000 })
  assert.equal(expiresAt, new Date(now.getTime() + 60_000).toISOString())
  now = new Date(now.getTime() + 60_000)
  control.wake.expiry()
  await host.until((all) => !all.sandboxes.some((each) => each.id === id))
  await assert.rejects(control.call(getSandbox, { params: { id } }, mine), fails('not_found'))
})

test('its time over, a sandbox that shall pause is paused, and resumed it is given its time again', async () => {
  const { id } = await create({ timeoutMs: 60_000, onTimeout: 'pause' })
  now = new Date(now.getTime() + 60_000)
  control.wake.expiry()
  await host.untilState(id, 'paused')
  const paused = await control.call(getSandbox, { params: { id } }, mine)
  assert.deepEqual([paused.state, paused.reason, paused.expiresAt], ['paused', 'its time is over', null])
  now = new Date(now.getTime() + 3_600_000)
  const resumed = await obeyed(control.call(resumeSandbox, { params: { id } }, mine))
  assert.deepEqual([resumed.state, resumed.reason], ['running', null])
  assert.equal(resumed.expiresAt, new Date(now.getTime() + 60_000).toISOString())
  await control.call(killSandbox, { params: { id } }, mine)
})

test('the next end of a time is not noticed by looking again and again', async () => {
  const { id } = await create({ timeoutMs: 120_000 })
  const { wake, db } = control
  const left = (): Promise<number | undefined> => expireSandboxes({ db, wake, clock: () => now })
  assert.equal(await left(), 120_000)
  now = new Date(now.getTime() + 119_999)
  assert.equal(await left(), 100)
  await control.call(extendSandbox, { params: { id }, body: { timeoutMs: 300_000 } }, mine)
  assert.equal(await left(), 300_000)
  await control.call(extendSandbox, { params: { id }, body: { timeoutMs: null } }, mine)
  assert.equal(await left(), undefined)
  await control.call(killSandbox, { params: { id } }, mine)
})

test('pause and resume answer when it is so, each repeated, and refuse what neither runs nor is paused', async () => {
  const { id } = await create({ timeoutMs: 60_000 })
  const params = { id }
  for (const _ of [1, 2]) {
    const paused = await obeyed(control.call(pauseSandbox, { params }, mine))
    assert.deepEqual([paused.state, paused.desired, paused.expiresAt], ['paused', 'paused', null])
  }
  await assert.rejects(control.call(startSandbox, { params }, mine), fails('wrong_state', /that is paused/))
  for (const _ of [1, 2]) {
    const resumed = await obeyed(control.call(resumeSandbox, { params, body: { timeoutMs: 90_000 } }, mine))
    assert.deepEqual([resumed.state, resumed.expiresAt], ['running', new Date(now.getTime() + 90_000).toISOString()])
  }
  await control.call(stopSandbox, { params }, mine)
  await host.untilState(id, 'stopped')
  await assert.rejects(control.call(pauseSandbox, { params }, mine), fails('wrong_state', /cannot pause .* stopped/))
  await assert.rejects(control.call(resumeSandbox, { params }, mine), fails('wrong_state', /cannot resume .* stopped/))
  for (const route of [pauseSandbox, resumeSandbox])
    await assert.rejects(control.call(route, { params }, theirs), fails('not_found'), route.id)
  const body = { timeoutMs: 500 }
  await assert.rejects(control.call(extendSandbox, { params, body }, mine), fails('invalid_request', /timeoutMs/))
  await control.call(killSandbox, { params }, mine)
})

test('a request to a paused sandbox resumes it only when it says so', async () => {
  const ask = (id: string) =>
    control.call(
      authorize,
      { body: { credentials: { apiKey: mine.key }, target: { kind: 'sandbox', sandboxId: id } } },
      { key: testTokens.gateway },
    )
  const [sleeper, waker] = [await create(), await create({ wakeOnTraffic: true })]
  for (const { id } of [sleeper, waker]) await obeyed(control.call(pauseSandbox, { params: { id } }, mine))
  await assert.rejects(ask(sleeper.id), fails('wrong_state', /that is paused/))
  assert.equal((await obeyed(ask(waker.id))).sandboxId, waker.id)
  assert.equal((await control.call(getSandbox, { params: { id: waker.id } }, mine)).state, 'running')
  for (const { id } of [sleeper, waker]) await control.call(killSandbox, { params: { id } }, mine)
})

test('a list is narrowed by state, template and metadata, page by page', async () => {
  const made: string[] = []
  for (const n of [1, 2, 3]) made.unshift((await create({ metadata: { 'the app': 'a&b', n: String(n) } })).id)
  await obeyed(control.call(pauseSandbox, { params: { id: made[0] ?? '' } }, mine))
  const ids = async (query: object): Promise<string[]> =>
    (await control.call(listSandboxes, { query }, mine)).items.map((each) => each.id)
  const metadata = new URLSearchParams({ 'the app': 'a&b' }).toString()
  assert.deepEqual(await ids({ metadata }), made)
  assert.deepEqual(await ids({ metadata: `${metadata}&n=2` }), [made[1]])
  assert.deepEqual(await ids({ metadata, state: 'paused' }), [made[0]])
  assert.deepEqual(await ids({ metadata, template: 'openclaw' }), [])
  const first = await control.call(listSandboxes, { query: { metadata, limit: 2 } }, mine)
  assert.equal(first.items.length, 2)
  assert.deepEqual(await ids({ metadata, limit: 2, cursor: first.nextCursor ?? '' }), [made[2]])
  for (const id of made) await control.call(killSandbox, { params: { id } }, mine)
})

test('an agent’s sandbox is changed through its agent only', async () => {
  const model = { baseUrl: 'https://api.example.com/v1', id: 'm' }
  const agent = await control.call(createAgent, { body: { name: 'A', model } }, mine)
  const params = { id: agent.sandbox?.id ?? '' }
  await assert.rejects(control.call(killSandbox, { params }, mine), fails('conflict', /belongs to agent/))
  await assert.rejects(control.call(stopSandbox, { params }, mine), fails('conflict'))
})

test('what is on a silent host is missing, with the reason, and is back with its host', async () => {
  const { id } = await create({ timeoutMs: null })
  now = new Date(now.getTime() + 100_000)
  const state = async (): Promise<string> => (await control.call(getSandbox, { params: { id } }, mine)).state
  for (const deadline = Date.now() + 15_000; (await state()) !== 'missing';)
    if (Date.now() > deadline) assert.fail('it was never missed')
  const missing = await control.call(getSandbox, { params: { id } }, mine)
  assert.match(missing.reason ?? '', /its host one does not answer since 2026-11-20T/)
  await host.sync()
  assert.equal(await state(), 'running')
})

test('a crash between asking and doing changes nothing: the next control goes on where it was', async () => {
  const model = { baseUrl: 'https://api.example.com/v1', id: 'm' }
  const agent = await control.call(createAgent, { body: { name: 'Crash', model, start: false } }, mine)
  // What a control leaves behind that was killed after its transaction and before any signal.
  await control.db
    .updateTable('sandboxes')
    .set({ desired: 'running', state: 'creating', step: 'placing', stopped_by: null })
    .where('id', '=', agent.sandbox?.id ?? '')
    .execute()
  const { startControl } = await import('../main.ts')
  await using second = await startControl(control.deps)
  await host.untilState(agent.sandbox?.id ?? '', 'running')
  assert.equal((await control.call(getAgent, { params: { id: agent.id } }, mine)).state, 'running')
  assert.ok(second)
})
