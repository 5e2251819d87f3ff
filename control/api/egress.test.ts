import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  checkEgress,
  createRule,
  deleteRule,
  deleteSecret,
  listAudit,
  listRules,
  listSecrets,
  putSecret,
} from '../../contract/egress.ts'
import { newId } from '../../contract/ids.ts'
import type { Route } from '../../contract/route.ts'
import { unseal } from '../seal.ts'
import { json } from '../store/db.ts'
import { startTestControl } from '../testing.ts'
import type { TestControl } from '../testing.ts'

let control: TestControl
let ada: Awaited<ReturnType<TestControl['newUser']>>
let bob: typeof ada
let agentId: string

before(async () => {
  control = await startTestControl()
  ada = await control.newUser('ada')
  bob = await control.newUser('bob')
  agentId = await insertAgentRow(ada.teamId, 'Writer', 'model-key')
})
after(() => control[Symbol.asyncDispose]())

/** A row as the agents' own store would write it: these tests are about what surrounds agents. */
async function insertAgentRow(teamId: string, name: string, secret: string | null): Promise<string> {
  const id = newId('agent')
  const personality = { preset: null, soul: '', instructions: '', emoji: '' }
  const model = {
    baseUrl: 'https://api.example.com/v1',
    api: 'openai-completions',
    id: 'm',
    secret,
    contextTokens: 1000,
    maxOutputTokens: 100,
  }
  await control.db
    .insertInto('agents')
    .values({
      id,
      team_id: teamId,
      created_by: null,
      name,
      runtime: 'openclaw',
      personality: json(personality),
      model: json(model),
      size: json({ cpus: 1, memoryMiB: 512, diskGiB: 10 }),
      volume_id: null,
      volume_host_id: null,
      deleted_at: null,
    })
    .execute()
  return id
}

test('a rule is stored in its canonical form, listed, checked against and removed', async () => {
  const as = { key: ada.key }
  const rule = await control.call(createRule, { body: { host: 'API.Example.COM.', note: 'the model' } }, as)
  assert.deepEqual([rule.host, rule.scope, rule.port, rule.warning], ['api.example.com', 'team', null, null])
  const list = await control.call(listRules, { query: { agentId } }, as)
  assert.deepEqual(
    list.items.map((item) => item.id),
    [rule.id],
  )
  const check = (url: string): Promise<{ action: string; reason: string | null; rule: unknown }> =>
    control.call(checkEgress, { query: { agentId, url } }, as)
  assert.equal((await check('https://api.example.com/v1')).action, 'allow')
  assert.deepEqual(
    [(await check('https://api.example.com:8443/')).reason, (await check('https://example.com/')).reason],
    ['no_rule', 'no_rule'],
  )
  assert.equal((await check('http://model.slopbox.internal/v1')).action, 'allow')
  await control.call(deleteRule, { params: { id: rule.id } }, as)
  assert.equal((await check('https://api.example.com/v1')).reason, 'no_rule')
  await assert.rejects(control.call(deleteRule, { params: { id: rule.id } }, as), { code: 'not_found' })
})

test('the same rule twice is a conflict, in another scope it is not', async () => {
  const as = { key: ada.key }
  const body = { host: '*.twice.example', port: 8443 }
  await control.call(createRule, { body }, as)
  await assert.rejects(control.call(createRule, { body: { ...body, host: '*.TWICE.example' } }, as), {
    code: 'conflict',
  })
  await control.call(createRule, { body: { ...body, scope: 'agent', agentId } }, as)
  await control.call(createRule, { body }, { key: bob.key })
})

test('a host that cannot be is refused with what is wrong about it', async () => {
  const cases: [string, RegExp][] = [
    ['https://example.com', /is not|has/],
    ['exa mple.com', /visible ASCII/],
    ['*', /character that names cannot have/],
    ['*.*.example.com', /character that names cannot have/],
    ['*.10.0.0.1', /wildcard over an address/],
    ['bücher.example', /visible ASCII/],
    ['x..example', /empty label/],
    ['model.slopbox.internal', /which is ours/],
    ['*.slopbox.internal', /which is ours/],
  ]
  for (const [host, message] of cases)
    await assert.rejects(
      control.call(createRule, { body: { host } }, { key: ada.key }),
      (error: Error & { code: string }) => {
        assert.equal(error.code, 'invalid_request', host)
        assert.match(error.message, message)
        assert.match(error.message, /^body\.host: /)
        return true
      },
    )
})

test('addresses are one spelling, and reserved ones need the operator', async () => {
  const as = { key: ada.key }
  const rule = await control.call(createRule, { body: { host: '0x7f.1', scope: 'agent', agentId } }, as)
  assert.equal(rule.host, '127.0.0.1')
  const check = await control.call(checkEgress, { query: { agentId, url: 'http://127.0.0.1/' } }, as)
  assert.deepEqual([check.action, check.reason], ['deny', 'address_refused'])
})

test('a wildcard over names anybody can register is allowed with a warning', async () => {
  const warned = await control.call(createRule, { body: { host: '*.github.io' } }, { key: ada.key })
  assert.match(warned.warning ?? '', /anybody can register names under github\.io/)
  const fine = await control.call(createRule, { body: { host: '*.example.com' } }, { key: ada.key })
  assert.equal(fine.warning, null)
})

test('global rules are for operators and apply to everybody', async () => {
  const body = { host: 'mirror.example', scope: 'global' as const }
  await assert.rejects(control.call(createRule, { body }, { key: ada.key }), { code: 'forbidden' })
  const rule = await control.call(createRule, { body }, { key: control.operator.key })
  const seen = await control.call(listRules, { query: { agentId } }, { key: ada.key })
  assert.ok(seen.items.some((item) => item.id === rule.id && item.scope === 'global'))
  await assert.rejects(control.call(deleteRule, { params: { id: rule.id } }, { key: ada.key }), { code: 'forbidden' })
})

test('scope and agent have to agree', async () => {
  for (const body of [
    { host: 'a.example', scope: 'agent' as const },
    { host: 'a.example', agentId },
  ])
    await assert.rejects(control.call(createRule, { body }, { key: ada.key }), { code: 'invalid_request' })
})

test("another team's agents, rules and secrets look like ones that do not exist", async () => {
  const as = { key: bob.key }
  const rule = await control.call(createRule, { body: { host: 'hers.example' } }, { key: ada.key })
  await control.call(putSecret, { params: { name: 'hers' }, body: { value: 'x' } }, { key: ada.key })
  const unknown = newId('agent')
  const cases: [Route, object][] = [
    [deleteRule, { params: { id: rule.id } }],
    [deleteSecret, { params: { name: 'hers' } }],
  ]
  for (const id of [agentId, unknown])
    cases.push(
      [createRule, { body: { host: 'a.example', scope: 'agent', agentId: id } }],
      [listRules, { query: { agentId: id } }],
      [checkEgress, { query: { agentId: id, url: 'https://a.example/' } }],
      [listAudit, { query: { agentId: id } }],
    )
  for (const [route, input] of cases) {
    const { status, body } = await control.inject(route, input, as)
    assert.equal(status, 404, route.id)
    assert.equal((body as { error: { code: string } }).error.code, 'not_found')
  }
  const lists = [await control.call(listRules, {}, as), await control.call(listSecrets, {}, as)]
  assert.equal(JSON.stringify(lists).includes('hers'), false)
})

test('a secret goes in sealed and comes out nowhere', async () => {
  const canary = `canary-${newId('request')}`
  const as = { key: ada.key }
  const body = { value: canary, hosts: ['API.example.com', 'api.example.com:443', '[2001:DB8::1]:8443'] }
  const made = await control.call(putSecret, { params: { name: 'canary' }, body }, as)
  assert.deepEqual(made.hosts, ['api.example.com', '[2001:db8::1]:8443'])
  assert.match(made.placeholder, /^slopbox-placeholder-/)
  const again = await control.call(putSecret, { params: { name: 'canary' }, body: { value: `${canary}-2` } }, as)
  assert.deepEqual([again.id, again.placeholder, again.hosts], [made.id, made.placeholder, []])

  const bad = { value: canary, hosts: ['*.example.com'] }
  await assert.rejects(control.call(putSecret, { params: { name: 'canary' }, body: bad }, as), {
    code: 'invalid_request',
  })
  const broken = { value: `${canary}\r\nx-forged: 1` }
  await assert.rejects(control.call(putSecret, { params: { name: 'canary' }, body: broken }, as), {
    code: 'invalid_request',
  })

  const answers = [made, again, await control.call(listSecrets, {}, as), await control.call(listAudit, {}, as)]
  for (const text of [JSON.stringify(answers), control.logged.join('\n'), await wholeDatabase()])
    assert.equal(text.includes(canary), false)

  const row = await control.db.selectFrom('secrets').selectAll().where('id', '=', made.id).executeTakeFirstOrThrow()
  const sealed = { keyId: row.key_id, wrappedKey: row.wrapped_key, iv: row.iv, data: row.data }
  assert.equal(unseal(control.deps.masterKey, made.id, sealed), `${canary}-2`)
  assert.throws(() => unseal(control.deps.masterKey, newId('secret'), sealed))
})

/** Every row of every table, as text. */
async function wholeDatabase(): Promise<string> {
  const tables = await control.db.introspection.getTables()
  const rows = await Promise.all(
    tables.map((table) =>
      control.db
        .selectFrom(table.name as 'users')
        .selectAll()
        .execute(),
    ),
  )
  return JSON.stringify(rows)
}

test('a header that frames the message, or a format that could forge one, is refused', async () => {
  const as = { key: ada.key }
  for (const body of [
    { value: 'x', header: 'Transfer-Encoding' },
    { value: 'x', header: 'host' },
    { value: 'x', format: 'Bearer {value}\r\nx: y' },
    { value: 'x', format: 'no place for it' },
  ])
    await assert.rejects(control.call(putSecret, { params: { name: 'h' }, body }, as), { code: 'invalid_request' })
})

test("a secret that is an agent's model key cannot be deleted, and the agent is named", async () => {
  const as = { key: ada.key }
  await control.call(putSecret, { params: { name: 'model-key' }, body: { value: 'k' } }, as)
  await assert.rejects(control.call(deleteSecret, { params: { name: 'model-key' } }, as), {
    code: 'conflict',
    message: 'secret model-key is the model key of Writer',
  })
  await control.db.updateTable('agents').set({ deleted_at: new Date() }).where('id', '=', agentId).execute()
  await control.call(deleteSecret, { params: { name: 'model-key' } }, as)
  await control.db.updateTable('agents').set({ deleted_at: null }).where('id', '=', agentId).execute()
})

test('the check names the secret that would be injected', async () => {
  const as = { key: ada.key }
  await control.call(putSecret, { params: { name: 'forge' }, body: { value: 'k', hosts: ['git.example'] } }, as)
  await control.call(createRule, { body: { host: 'git.example' } }, as)
  const check = await control.call(checkEgress, { query: { agentId, url: 'https://git.example/x' } }, as)
  assert.equal(check.secret, 'forge')
})

test('every act leaves one record, none when it was refused, and only the own team sees it', async () => {
  const eve = await control.newUser('eve')
  const as = { key: eve.key }
  await control.call(putSecret, { params: { name: 's' }, body: { value: 'v' } }, as)
  const rule = await control.call(createRule, { body: { host: 'a.example' } }, as)
  await assert.rejects(control.call(createRule, { body: { host: 'a.example' } }, as), { code: 'conflict' })
  await control.call(deleteRule, { params: { id: rule.id } }, as)
  await control.call(deleteSecret, { params: { name: 's' } }, as)
  const { items } = await control.call(listAudit, {}, as)
  assert.deepEqual(
    items.map((item) => [item.method, item.kind, item.source, item.userId, item.actor !== null]).reverse(),
    ['keys.create', 'secrets.put', 'egress.rules.create', 'egress.rules.delete', 'secrets.delete'].map(
      (action, index) => [action, 'admin', 'control', eve.id, index > 0],
    ),
  )
  const others = await control.call(listAudit, { query: { limit: 200 } }, { key: bob.key })
  assert.ok(others.items.every((item) => item.userId === bob.id))
})

test('the audit is searched by decision, and paged without gap or repeat', async () => {
  const as = { key: ada.key }
  assert.deepEqual((await control.call(listAudit, { query: { decision: 'deny' } }, as)).items, [])
  const all = await control.call(listAudit, { query: { limit: 200 } }, as)
  const paged: string[] = []
  let cursor: string | undefined
  do {
    const page = await control.call(listAudit, { query: { limit: 3, ...(cursor === undefined ? {} : { cursor }) } }, as)
    paged.push(...page.items.map((item) => item.id))
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
  assert.deepEqual(
    paged,
    all.items.map((item) => item.id),
  )
  assert.ok(paged.length > 3)
})
