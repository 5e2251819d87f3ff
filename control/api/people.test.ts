import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { bootstrap, createSignInLink } from '../../contract/internal.ts'
import {
  adminCreateUser,
  adminListUsers,
  createKey,
  deleteKey,
  getAuthOptions,
  getMe,
  getSettings,
  listKeys,
  redeemSignInLink,
  updateSettings,
} from '../../contract/people.ts'
import type { Route } from '../../contract/route.ts'
import { cookieOf, signIn, startTestControl, testOrigin, testTokens } from '../testing.ts'
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

const signInPath = { method: 'POST', path: '/api/auth/sign-in/email' } as const
const signUp = { method: 'POST', path: '/api/auth/sign-up/email' } as const
const signOut = { method: 'POST', path: '/api/auth/sign-out' } as const

test('without credentials, with a wrong key or a foreign scheme one is unauthenticated', async () => {
  for (const as of [
    {},
    { key: 'slop_wrong' },
    { headers: { authorization: 'Basic eDp5' } },
    { cookie: 'slopbox.session_token=x.y' },
  ]) {
    await assert.rejects(control.call(getMe, {}, as), { code: 'unauthenticated' })
  }
})

test('a key says who it is, in both headers', async () => {
  const me = await control.call(getMe, {}, { key: ada.key })
  assert.equal(me.user.email, 'ada@example.com')
  assert.equal(me.team.id, ada.teamId)
  assert.deepEqual([me.team.personal, me.team.role, me.key?.name], [true, 'owner', 'test'])
  const same = await control.call(getMe, {}, { headers: { 'x-api-key': ada.key } })
  assert.deepEqual(same, me)
})

test('a session begins with the password and ends with sign-out', async () => {
  const cookie = await signIn(control, ada.email, ada.password)
  const me = await control.call(getMe, {}, { cookie })
  assert.equal(me.user.id, ada.id)
  assert.equal(me.key, null)
  const out = await control.inject(signOut, { body: {} }, { cookie, headers: { origin: testOrigin } })
  assert.equal(out.status, 200)
  await assert.rejects(control.call(getMe, {}, { cookie }), { code: 'unauthenticated' })
})

test('a cookie that was not signed by us is no session, though its token exists', async () => {
  const cookie = await signIn(control, ada.email, ada.password)
  const forged = cookie.replace(/\.[^.]*$/, '.Zm9yZ2Vk')
  await assert.rejects(control.call(getMe, {}, { cookie: forged }), { code: 'unauthenticated' })
})

test('a session cookie is host-only, http-only and secure where the request came in over TLS', async () => {
  for (const proto of ['http', 'https']) {
    const answer = await control.inject(
      signInPath,
      { body: { email: ada.email, password: ada.password } },
      { headers: { origin: testOrigin, 'x-forwarded-proto': proto } },
    )
    const cookies = [answer.headers['set-cookie'] ?? []].flat().map(String)
    const session = cookies.find((cookie) => cookie.startsWith('slopbox.session_token=')) ?? ''
    assert.match(session, /; HttpOnly/i)
    assert.match(session, /; SameSite=Lax/i)
    assert.doesNotMatch(session, /domain=/i)
    assert.equal(/; Secure/i.test(session), proto === 'https')
  }
})

test('a write by cookie needs one of our own origins; a key needs none', async () => {
  const cookie = await signIn(control, ada.email, ada.password)
  const make = (headers: Record<string, string>): Promise<unknown> =>
    control.call(createKey, { body: { name: 'csrf' } }, { cookie, headers })
  for (const headers of [
    {},
    { origin: 'http://8000-sb0.slopbox.localhost:8480' },
    { origin: 'null' },
    { 'sec-fetch-site': 'same-site' },
  ] as Record<string, string>[])
    await assert.rejects(make(headers), { code: 'forbidden' })
  for (const headers of [
    { origin: testOrigin },
    { origin: 'http://127.0.0.1:8480' },
    { 'sec-fetch-site': 'same-origin' },
  ] as Record<string, string>[])
    await make(headers)
  await control.call(createKey, { body: { name: 'by key' } }, { key: ada.key })
})

test('the library takes no sign-out from a foreign page', async () => {
  const cookie = await signIn(control, ada.email, ada.password)
  const answer = await control.inject(signOut, { body: {} }, { cookie, headers: { origin: 'http://evil.example' } })
  assert.equal(answer.status, 403)
  await control.call(getMe, {}, { cookie })
})

test('sign-out tells the gateway, so that what the session holds open can end', async () => {
  const cookie = await signIn(control, ada.email, ada.password)
  const before = control.wake.count('gateway')
  await control.inject(signOut, { body: {} }, { cookie, headers: { origin: testOrigin } })
  assert.ok(control.wake.count('gateway') > before)
})

test('sign-up is off until an operator turns it on, and makes a personal team', async () => {
  const body = { email: 'Eve@Example.com', name: 'Eve', password: 'correct horse battery' }
  const headers = { origin: testOrigin }
  assert.equal((await control.inject(signUp, { body }, { headers })).status, 403)
  await control.call(updateSettings, { body: { signUp: true } }, { key: control.operator.key })
  assert.equal((await control.call(getAuthOptions, {}, {})).signUp, true)
  const short = await control.inject(signUp, { body: { ...body, password: 'too short' } }, { headers })
  assert.equal(short.status, 400)
  const role = await control.inject(signUp, { body: { ...body, role: 'operator' } }, { headers })
  assert.notEqual(role.status, 200)
  const answer = await control.inject(signUp, { body }, { headers })
  assert.equal(answer.status, 200, JSON.stringify(answer.body))
  const me = await control.call(getMe, {}, { cookie: cookieOf(answer) })
  assert.match(me.user.id, /^us[a-z0-9]{16}$/)
  assert.deepEqual([me.user.email, me.user.role, me.team.personal], ['eve@example.com', 'user', true])
  await control.call(updateSettings, { body: { signUp: false } }, { key: control.operator.key })
})

test('guessing a password is slowed down per account', async () => {
  await control.newUser('mallory')
  const guess = async (): Promise<number> => {
    const body = { email: 'mallory@example.com', password: 'wrong wrong wrong' }
    const headers = { origin: testOrigin, 'x-forwarded-for': `198.51.100.${Math.ceil(Math.random() * 250)}` }
    return (await control.inject(signInPath, { body }, { headers })).status
  }
  const statuses: number[] = []
  for (let attempt = 0; attempt < 12; attempt += 1) statuses.push(await guess())
  assert.equal(statuses[0], 401)
  assert.equal(statuses.at(-1), 429)
})

test('operations for operators are refused to everybody else', async () => {
  await assert.rejects(control.call(adminListUsers, {}, { key: ada.key }), { code: 'forbidden' })
  await assert.rejects(control.call(updateSettings, { body: {} }, { key: ada.key }), { code: 'forbidden' })
  const page = await control.call(adminListUsers, { query: { limit: 2 } }, { key: control.operator.key })
  assert.equal(page.items.length, 2)
  const next = await control.call(
    adminListUsers,
    { query: { cursor: page.nextCursor ?? '', limit: 200 } },
    { key: control.operator.key },
  )
  const seen = [...page.items, ...next.items].map((user) => user.id)
  assert.equal(new Set(seen).size, seen.length)
  assert.ok(seen.includes(ada.id))
})

test('a provider appears when it is configured, and leads to its own page with our callback', async () => {
  const github = { id: 'github', name: 'GitHub', clientId: 'client', clientSecret: 'hidden' } as const
  await using other = await startTestControl({ providers: [github] })
  assert.deepEqual((await other.call(getAuthOptions, {}, {})).providers, [{ id: 'github', name: 'GitHub' }])
  const { body } = await other.inject(
    { method: 'POST', path: '/api/auth/sign-in/social' },
    { body: { provider: 'github', callbackURL: '/' } },
    { headers: { origin: testOrigin } },
  )
  const url = new URL((body as { url: string }).url)
  assert.equal(url.hostname, 'github.com')
  assert.equal(url.searchParams.get('redirect_uri'), `${testOrigin}/api/auth/callback/github`)
  assert.equal(url.href.includes('hidden'), false)
})

test('an address has one account, whatever its case', async () => {
  const body = { email: 'ADA@example.com', name: 'Ada', password: 'another long password' }
  await assert.rejects(control.call(adminCreateUser, { body }, { key: control.operator.key }), { code: 'conflict' })
})

test('unknown fields, wrong types and bad cursors are named', async () => {
  const key = control.operator.key
  const cases: [Route, object, RegExp][] = [
    [createKey, { body: { name: 'x', page: 1 } }, /body: unrecognized key: "page"/],
    [createKey, { body: { name: 7 } }, /body\.name: .*expected string/],
    [createKey, { body: { name: 'nul \u0000 byte' } }, /U\+0000/],
    [createKey, { body: { name: 'half \ud800 pair' } }, /surrogate/],
    [listKeys, { query: { limit: 201 } }, /query\.limit: .*200/],
    [listKeys, { query: { pages: 2 } }, /query: unrecognized key: "pages"/],
    [listKeys, { query: { cursor: 'nonsense' } }, /query\.cursor/],
    [updateSettings, { body: { signup: true } }, /unrecognized key: "signup"/],
    [updateSettings, { body: { allowedRanges: ['10.0.0.0'] } }, /body\.allowedRanges\.0/],
    [updateSettings, { body: { allowedRanges: ['0.0.0.0/0'] } }, /wider than \/8/],
    [updateSettings, { body: { extraRoots: 'no certificate' } }, /body\.extraRoots/],
    [
      updateSettings,
      { body: { extraRoots: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' } },
      /certificate 1/,
    ],
  ]
  for (const [route, input, message] of cases) {
    await assert.rejects(control.call(route, input, { key }), (error: Error & { code: string }) => {
      assert.equal(error.code, 'invalid_request')
      assert.match(error.message, message)
      return true
    })
  }
  const malformed = control.call(deleteKey, { params: { id: 'not-an-id' } }, { key })
  await assert.rejects(malformed, { code: 'not_found', message: 'path.id: not the id of a key' })
})

test('settings that were refused changed nothing, others stay', async () => {
  const key = control.operator.key
  await control.call(updateSettings, { body: { allowedRanges: ['10.1.2.0/24', 'fd00:1::/64'] } }, { key })
  await assert.rejects(control.call(updateSettings, { body: { signUp: true, allowedRanges: ['x'] } }, { key }))
  assert.deepEqual(await control.call(getSettings, {}, { key }), {
    signUp: false,
    allowedRanges: ['10.1.2.0/24', 'fd00:1::/64'],
    extraRoots: '',
  })
})

test('a sign-in link works once, is not stored as itself, and an expired one never', async () => {
  const as = { key: testTokens.operator }
  const link = await control.call(createSignInLink, { body: { email: bob.email } }, as)
  const rows = await control.db.selectFrom('sign_in_links').selectAll().execute()
  assert.equal(JSON.stringify(rows).includes(link.token), false)
  const both = await Promise.all(
    [1, 2].map(() => control.inject(redeemSignInLink, { body: { token: link.token } }, {})),
  )
  assert.deepEqual(
    both.map((answer) => answer.status).sort((a, b) => a - b),
    [200, 404],
  )
  const cookie = cookieOf(both.find((answer) => answer.status === 200) ?? assert.fail())
  assert.equal((await control.call(getMe, {}, { cookie })).user.email, bob.email)
  const late = await control.call(createSignInLink, { body: {} }, as)
  assert.equal(late.email, control.operator.email)
  await control.db
    .updateTable('sign_in_links')
    .set({ expires_at: new Date(0) })
    .where('used_at', 'is', null)
    .execute()
  await assert.rejects(control.call(redeemSignInLink, { body: { token: late.token } }, {}), { code: 'not_found' })
  await assert.rejects(control.call(createSignInLink, { body: { email: 'no@example.com' } }, as), { code: 'not_found' })
})

test('the first operator is made once, and only for who holds the token', async () => {
  const again = await control.call(bootstrap, { body: { email: 'other@example.com' } }, { key: testTokens.operator })
  assert.deepEqual(again, { created: false, email: control.operator.email, password: null, apiKey: null })
  for (const key of ['wrong', testTokens.host, control.operator.key])
    await assert.rejects(control.call(bootstrap, { body: {} }, { key }), { code: 'unauthenticated' })
})
