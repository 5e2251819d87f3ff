import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { bootstrap, internalHealth } from '../contract/internal.ts'
import { createKey, getMe, listKeys } from '../contract/people.ts'
import { callSocket } from '../lib/socket-client.ts'
import { openDatabase } from './store/db.ts'
import { testDatabase } from './store/testing.ts'
import { startTestControl, testTokens } from './testing.ts'
import type { TestControl } from './testing.ts'

const directory = mkdtempSync(join(tmpdir(), 'slopbox-control-'))
after(() => rmSync(directory, { recursive: true, force: true }))

let control: TestControl
before(async () => {
  control = await startTestControl({ socket: join(directory, 'live.sock') })
})
after(() => control[Symbol.asyncDispose]())

test('the same write with the same key is one write, and its answer is kept sealed', async () => {
  const as = { key: control.operator.key, headers: { 'idempotency-key': 'once' } }
  const [first, second] = [
    await control.call(createKey, { body: { name: 'once' } }, as),
    await control.call(createKey, { body: { name: 'once' } }, as),
  ]
  assert.deepEqual(first, second)
  await assert.rejects(control.call(createKey, { body: { name: 'other' } }, as), { code: 'conflict' })
  const { items } = await control.call(listKeys, {}, { key: control.operator.key })
  assert.equal(items.filter((key) => key.name === 'once').length, 1)
  const stored = await control.db.selectFrom('idempotency_keys').selectAll().execute()
  assert.equal(JSON.stringify(stored).includes(first.key), false)
})

test('writes at the same moment with the same key run once', async () => {
  const as = { key: control.operator.key, headers: { 'idempotency-key': 'race' } }
  const answers = await Promise.all(
    Array.from({ length: 6 }, () => control.inject(createKey, { body: { name: 'race' } }, as)),
  )
  assert.ok(answers.some((answer) => answer.status === 201))
  assert.ok(answers.every((answer) => answer.status === 201 || answer.status === 409))
  const { items } = await control.call(listKeys, {}, { key: control.operator.key })
  assert.equal(items.filter((key) => key.name === 'race').length, 1)
})

test("a team's changes reach its open stream, another team's do not", async () => {
  const ada = await control.newUser('ada')
  const stream = await openStream(ada.key)
  const events = eventsOf(stream)
  assert.equal((await events.next()).value?.kind, 'stream.open')
  control.wake.changed('tm0000000000000000', { kind: 'agent.updated', agentId: 'ag0000000000000000' })
  control.wake.changed(ada.teamId, { kind: 'agent.created', agentId: 'ag1111111111111111' })
  const { at: _, ...event } = (await events.next()).value ?? assert.fail('the stream ended')
  assert.deepEqual(event, { kind: 'agent.created', agentId: 'ag1111111111111111', sandboxId: null })
  stream.destroy()
})

function openStream(key: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request({
      socketPath: join(directory, 'live.sock'),
      path: '/v1/events/stream',
      headers: { authorization: `Bearer ${key}` },
    })
      .on('response', resolve)
      .on('error', reject)
      .end()
  })
}

async function* eventsOf(stream: IncomingMessage): AsyncGenerator<{ kind: string; at: string }, undefined> {
  let text = ''
  for await (const chunk of stream) {
    text += String(chunk)
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    for (const block of blocks) if (block.startsWith('data: ')) yield JSON.parse(block.slice(6))
  }
  return undefined
}

test('while the database is away the answer says so, and afterwards everything works again', async () => {
  await using database = await testDatabase()
  await using own = await startTestControl({ databaseUrl: database.url })
  const { rows } = await database.pool.query<{ name: string }>('select current_database() as name')
  const name = rows[0]?.name ?? ''
  await using admin = openDatabase(database.url.replace(`/${name}`, '/postgres'), { onError: assert.ifError })
  database.pool.removeAllListeners('error').on('error', () => {})
  await admin.pool.query(`alter database ${name} with allow_connections false`)
  await admin.pool.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name])
  await assert.rejects(own.call(getMe, {}, { key: own.operator.key }), { code: 'unavailable' })
  await admin.pool.query(`alter database ${name} with allow_connections true`)
  // Every broken connection may fail one request before the pool has noticed it.
  const answers: number[] = []
  while (answers.at(-1) !== 200 && answers.length < 25)
    answers.push((await own.inject(getMe, {}, { key: own.operator.key })).status)
  assert.equal(answers.at(-1), 200, answers.join(' '))
})

test('the process says when it serves, on a socket of its group, and stops on SIGTERM', async () => {
  await using database = await testDatabase()
  const { child, socket } = await startProcess(database.url, {})
  assert.equal(statSync(socket).mode & 0o777, 0o660)
  const client = { socketPath: socket, token: testTokens.operator }
  const signal = AbortSignal.timeout(10_000)
  const made = await Promise.all(
    [1, 2].map(() => callSocket(client, bootstrap, { params: {}, query: {}, body: {} }, signal)),
  )
  assert.deepEqual(made.map((each) => String(each.created)).toSorted(), ['false', 'true'])
  const health = await callSocket(client, internalHealth, { params: {}, query: {}, body: {} }, signal)
  assert.equal(health.ok, true)
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [0, null])
})

test('a misspelt variable and half a provider stop the start and are named', async () => {
  await using database = await testDatabase()
  for (const [env, named] of [
    [{ SLOPBOX_PUBLIK_URL: 'x' }, /SLOPBOX_PUBLIK_URL/],
    [{ SLOPBOX_GITHUB_CLIENT_ID: 'x' }, /GitHub needs both/],
    [{ SLOPBOX_DATABASE_URL: 'mysql://x' }, /SLOPBOX_DATABASE_URL/],
  ] as const) {
    const { child, errors } = launch(database.url, env)
    // `close` and not `exit`: what it wrote has been read by then.
    const [code] = (await once(child, 'close')) as [number]
    assert.notEqual(code, 0)
    assert.match(errors(), named)
  }
})

async function startProcess(
  databaseUrl: string,
  env: Record<string, string>,
): Promise<{ child: ChildProcess; socket: string }> {
  const { child, socket, errors } = launch(databaseUrl, env)
  const exited = once(child, 'exit').then(([code]) => assert.fail(`control ended with ${String(code)}: ${errors()}`))
  const ready = once(child.stdio[3] ?? assert.fail(), 'data')
  const [line] = (await Promise.race([ready, exited])) as [Buffer]
  assert.equal(String(line), 'ready\n')
  exited.catch(() => {})
  return { child, socket }
}

let launched = 0
function launch(
  databaseUrl: string,
  env: Record<string, string>,
): { child: ChildProcess; socket: string; errors: () => string } {
  const home = join(directory, String((launched += 1)))
  mkdirSync(home)
  const credentials = {
    'master.key': randomBytes(32).toString('base64'),
    'auth.secret': randomBytes(32).toString('hex'),
    'host.token': testTokens.host,
    'egress.token': testTokens.egress,
    'gateway.token': testTokens.gateway,
    'operator.token': testTokens.operator,
    'gateway-internal.token': 'control-token',
  }
  for (const [name, value] of Object.entries(credentials)) writeFileSync(join(home, name), value, { mode: 0o600 })
  const socket = join(home, 'control.sock')
  const child = spawn(process.execPath, [new URL('main.ts', import.meta.url).pathname], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    env: {
      SLOPBOX_CREDENTIALS: home,
      SLOPBOX_CONTROL_SOCKET: socket,
      SLOPBOX_GATEWAY_SOCKET: join(home, 'gateway.sock'),
      SLOPBOX_DATABASE_URL: databaseUrl,
      SLOPBOX_PUBLIC_URL: 'http://slopbox.localhost:8480',
      SLOPBOX_DOMAIN: 'slopbox.localhost:8480',
      SLOPBOX_READY_FD: '3',
      ...env,
    },
  })
  let output = ''
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')))
  return { child, socket, errors: () => output }
}
