import assert from 'node:assert/strict'
import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { newId } from '../contract/ids.ts'
import { requestUpgrade } from '../lib/upgrade.ts'
import { ask, fakeHost, ids, startWorld } from './world.fixture.ts'
import type { World } from './world.fixture.ts'

let world: World
before(async () => void (world = await startWorld()))
after(() => world[Symbol.asyncDispose]())

const dial = (headers: Record<string, string> = {}) =>
  requestUpgrade({
    socketPath: world.socketPath,
    path: '/internal/dial',
    protocol: 'slopbox-dial',
    headers: {
      authorization: 'Bearer control-token',
      'x-slopbox-host': ids.host,
      'x-slopbox-sandbox': ids.sandbox,
      'x-slopbox-port': '18789',
      ...headers,
    },
    signal: AbortSignal.timeout(10_000),
  })

test('control gets the bytes of a port', async () => {
  const socket = await dial()
  socket.write('GET /x HTTP/1.1\r\nHost: inside\r\nConnection: close\r\n\r\n')
  let text = ''
  for await (const chunk of socket.setEncoding('utf8') as AsyncIterable<string>) text += chunk
  assert.match(text, /from inside/)
})

for (const [name, headers, code] of [
  ['without the credential', { authorization: 'Bearer x' }, 'unauthenticated'],
  ["with a host's credential", { authorization: 'Bearer host-token' }, 'unauthenticated'],
  ['to a host that is not here', { 'x-slopbox-host': newId('host') }, 'unavailable'],
  ['to a port that is closed', { 'x-slopbox-port': '9' }, 'upstream_failed'],
  ['to a port that is no port', { 'x-slopbox-port': '-1' }, 'invalid_request'],
  ['to something that is no sandbox', { 'x-slopbox-sandbox': '../x' }, 'invalid_request'],
] as const)
  test(`a dial ${name} is refused with ${code}`, async () => {
    await assert.rejects(dial(headers), { code })
  })

test('a host with the wrong credential gets no tunnel', async () => {
  await assert.rejects(
    requestUpgrade({
      socketPath: world.socketPath,
      path: '/internal/tunnel',
      protocol: 'slopbox-tunnel',
      headers: { authorization: 'Bearer control-token', 'x-slopbox-host': ids.host },
      signal: AbortSignal.timeout(10_000),
    }),
    { code: 'unauthenticated' },
  )
})

test('a host that connects again replaces its old tunnel', async () => {
  let answeredBy = ''
  const first = await fakeHost(world.socketPath, () => 0, {
    '/dial': async () => void (answeredBy = 'first'),
  })
  await using second = await fakeHost(world.socketPath, () => 0, {
    '/dial': async (stream) => {
      answeredBy = 'second'
      stream.respond({ ':status': 200 })
      stream.end('x')
    },
  })
  await first.closed
  const socket = await dial()
  await once(socket.resume(), 'close')
  assert.equal(answeredBy, 'second')
  await second[Symbol.asyncDispose]()
})

test('the private socket is for the group, and answers no plain request', async () => {
  assert.equal((await stat(world.socketPath)).mode & 0o777, 0o660)
  assert.equal((await ask(world, world.domain, '/internal/tunnel')).status, 404)
})

test('a stream waits for a host that is about to connect', async () => {
  await using patient = await startWorld({ deps: { tunnelPatienceMs: 60_000 } })
  const late = newId('host')
  const dialling = requestUpgrade({
    socketPath: patient.socketPath,
    path: '/internal/dial',
    protocol: 'slopbox-dial',
    headers: {
      authorization: 'Bearer control-token',
      'x-slopbox-host': late,
      'x-slopbox-sandbox': ids.sandbox,
      'x-slopbox-port': '18789',
    },
    signal: AbortSignal.timeout(50_000),
  })
  await using host = await fakeHost(
    patient.socketPath,
    () => 0,
    {
      '/dial': async (stream) => {
        stream.respond({ ':status': 200 })
        stream.end('late but there')
      },
    },
    late,
  )
  let text = ''
  for await (const chunk of (await dialling).setEncoding('utf8') as AsyncIterable<string>) text += chunk
  assert.equal(text, 'late but there')
  await host[Symbol.asyncDispose]()
})
