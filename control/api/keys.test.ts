import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { adminCreateUser, adminListUsers, createKey, deleteKey, getMe, listKeys } from '../../contract/people.ts'
import { signIn, startTestControl, testOrigin } from '../testing.ts'
import type { TestControl } from '../testing.ts'

let control: TestControl
let ada: Awaited<ReturnType<TestControl['newUser']>>
let bob: typeof ada

before(async () => {
  control = await startTestControl()
  ada = await control.newUser('ada')
  bob = await control.newUser('bob')
})
after(() => control[Symbol.asyncDispose]())

test('a key is listed without itself, used until it is revoked, and not found afterwards', async () => {
  const made = await control.call(createKey, { body: { name: 'robot', expiresInDays: 1 } }, { key: ada.key })
  assert.match(made.key, /^slop_[0-9A-Za-z]{40}$/)
  await control.call(getMe, {}, { key: made.key })
  const list = await control.call(listKeys, {}, { key: ada.key })
  const listed = list.items.find((key) => key.id === made.id)
  assert.equal(listed?.start, made.key.slice(0, 9))
  assert.notEqual(listed?.lastUsedAt, null)
  assert.equal(JSON.stringify(list).includes(made.key), false)
  await control.call(deleteKey, { params: { id: made.id } }, { key: ada.key })
  await assert.rejects(control.call(getMe, {}, { key: made.key }), { code: 'unauthenticated' })
  await assert.rejects(control.call(deleteKey, { params: { id: made.id } }, { key: ada.key }), { code: 'not_found' })
})

test('an expired key is refused', async () => {
  const made = await control.call(createKey, { body: { name: 'brief', expiresInDays: 1 } }, { key: ada.key })
  await control.db
    .updateTable('api_keys')
    .set({ expires_at: new Date(Date.now() - 1) })
    .where('id', '=', made.id)
    .execute()
  await assert.rejects(control.call(getMe, {}, { key: made.key }), { code: 'unauthenticated' })
})

test("another team's key looks like one that does not exist", async () => {
  const made = await control.call(createKey, { body: { name: 'mine' } }, { key: ada.key })
  const foreign = await control.inject(deleteKey, { params: { id: made.id } }, { key: bob.key })
  const unknown = await control.inject(deleteKey, { params: { id: 'ak0000000000000000' } }, { key: bob.key })
  assert.deepEqual([foreign.status, unknown.status], [404, 404])
  await control.call(getMe, {}, { key: made.key })
})

test('a service key acts for a user, both are recorded, and others cannot', async () => {
  await assert.rejects(control.call(createKey, { body: { name: 's', service: true } }, { key: ada.key }), {
    code: 'forbidden',
  })
  const service = await control.call(
    createKey,
    { body: { name: 'front', service: true } },
    { key: control.operator.key },
  )
  const as = { key: service.key, headers: { 'x-user-id': ada.id } }
  const me = await control.call(getMe, {}, as)
  assert.deepEqual([me.user.id, me.team.id, me.key?.id, me.key?.service], [ada.id, ada.teamId, service.id, true])
  const made = await control.call(createKey, { body: { name: 'for ada' } }, as)
  const record = await control.db
    .selectFrom('audit')
    .select(['user_id', 'actor', 'team_id'])
    .where('method', '=', 'keys.create')
    .where((eb) => eb.ref('detail', '->>').key('id'), '=', made.id)
    .executeTakeFirstOrThrow()
  assert.deepEqual(record, { user_id: ada.id, actor: service.id, team_id: ada.teamId })
  await assert.rejects(control.call(adminListUsers, {}, as), { code: 'forbidden' })
  const unknown = { ...as, headers: { 'x-user-id': 'us0000000000000000' } }
  await assert.rejects(control.call(getMe, {}, unknown), { code: 'not_found' })
  await assert.rejects(control.call(getMe, {}, { ...as, key: bob.key }), { code: 'forbidden' })
})

test('a service key is worth nothing once its maker is no operator any more', async () => {
  const boss = await control.call(
    adminCreateUser,
    { body: { email: 'boss@example.com', name: 'Boss', password: 'a password for a boss', role: 'operator' } },
    { key: control.operator.key },
  )
  const cookie = await signIn(control, 'boss@example.com', 'a password for a boss')
  const service = await control.call(
    createKey,
    { body: { name: 'front', service: true } },
    { cookie, headers: { origin: testOrigin } },
  )
  await control.db.updateTable('users').set({ role: 'user' }).where('id', '=', boss.id).execute()
  const as = { key: service.key, headers: { 'x-user-id': ada.id } }
  await assert.rejects(control.call(getMe, {}, as), { code: 'forbidden' })
})
