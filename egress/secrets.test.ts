import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { IncomingHttpHeaders } from 'node:http'
import { WebSocket, WebSocketServer } from 'ws'
import { createWorld, readAll, readUntil, rule, type World } from './testing.ts'

const canary = 'sk-canary-5f0d9c1be7a24d63'

/** TLS to a host through the redirect, trusting only the interception CA: works only where we look inside. */
function inside(world: World, host: string, ca = [world.caPem]): Promise<TLSSocket> {
  const tls = connectTls({ socket: world.dial('tls'), servername: host, ca })
  return new Promise((resolve, reject) => tls.once('secureConnect', () => resolve(tls)).once('error', reject))
}
const ask = async (socket: TLSSocket, host: string, headers = '', body = ''): Promise<string> => {
  socket.write(
    `${body === '' ? 'GET' : 'POST'} /v1?q=1 HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${headers}\r\n${body}`,
  )
  return await readAll(socket)
}

test('a secret is added for its host alone, replaces what the client sent in any spelling, and never comes back', async (t) => {
  const seen: IncomingHttpHeaders[] = []
  const world = await createWorld(t, {
    handler: (req, res) => {
      seen.push(req.headers)
      const token = String(req.headers.authorization)
      res.setHeader('X-Echo', token)
      res.setHeader('X-Encoded', Buffer.from(`user:${token}`).toString('base64'))
      // Cut in the middle, so that no single chunk holds it.
      res.write(`you sent ${token.slice(0, 15)}`)
      setImmediate(() => res.end(`${token.slice(15)} ${encodeURIComponent(token)}`))
    },
  })
  const secret = world.seal('key', canary, [{ host: 'api.example', port: null }])
  await world.allow({ rules: [rule('*.example')], secrets: [secret] })

  const answer = await ask(
    await inside(world, 'api.example'),
    'api.example',
    'Authorization: Bearer mine\r\nAccept-Encoding: gzip\r\n',
  )
  assert.match(answer, /^HTTP\/1\.1 200[\s\S]*hidden by slopbox/)
  assert.equal(seen[0]?.authorization, `Bearer ${canary}`)
  assert.equal(seen[0]?.['accept-encoding'], 'identity')

  const basic = await ask(
    await inside(world, 'api.example'),
    'api.example',
    'AUTHORIZATION: token placeholder-key;v=1\r\n',
  )
  assert.match(basic, /^HTTP\/1\.1 200/)
  assert.equal(seen[1]?.authorization, `token ${canary};v=1`)

  const lookAlike = await ask(
    await inside(world, 'api.example'),
    'api.example',
    'author_ization: x\r\nProxy_Authorization: y\r\n',
  )
  assert.match(lookAlike, /X-Slopbox-Deny: bad_request/i)

  const elsewhere = await ask(
    await inside(world, 'other.example', [world.rootPem]),
    'other.example',
    'Authorization: placeholder-key\r\n',
  )
  assert.match(elsewhere, /^HTTP\/1\.1 200/)
  assert.equal(seen[2]?.authorization, 'placeholder-key')

  const mismatch = await ask(await inside(world, 'api.example'), 'other.example')
  assert.match(mismatch, /X-Slopbox-Deny: bad_request/i)

  const record = await world.recorded(({ detail }) => detail['secret'] === 'key')
  assert.equal(record.path, '/v1')
  await world.recorded(({ detail }) => Number(detail['scrubbed']) > 0)
  expectNoCanary(world, [answer, basic, lookAlike, elsewhere, mismatch])
})

test('plain HTTP never carries a secret', async (t) => {
  const seen: IncomingHttpHeaders[] = []
  const world = await createWorld(t, { handler: (req, res) => void (seen.push(req.headers), res.end()) })
  const secret = world.seal('key', canary, [
    { host: 'api.example', port: 80 },
    { host: 'api.example', port: null },
  ])
  await world.allow({ rules: [rule('api.example')], secrets: [secret] })
  const socket = world.dial('http')
  socket.write('GET / HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n\r\n')
  assert.match(await readAll(socket), /^HTTP\/1\.1 200/)
  assert.equal(seen[0]?.authorization, undefined)
})

test('a secret that cannot be opened fails the request', async (t) => {
  const world = await createWorld(t)
  const secret = world.seal('key', canary, [{ host: 'api.example', port: null }])
  for (const sealed of [
    { ...secret.sealed, keyId: '0'.repeat(16) },
    { ...secret.sealed, iv: Buffer.alloc(12).toString('base64') },
    { ...secret.sealed, data: '' },
    { ...secret.sealed, wrappedKey: 'AAAA' },
  ]) {
    await world.allow({ rules: [rule('api.example')], secrets: [{ ...secret, sealed }] })
    assert.match(
      await ask(await inside(world, 'api.example'), 'api.example'),
      /^HTTP\/1\.1 502[\s\S]*secret_unavailable/,
    )
  }
  await world.allow({ rules: [rule('api.example')], secrets: [{ ...secret, id: 'scother' }] })
  assert.match(await ask(await inside(world, 'api.example'), 'api.example'), /secret_unavailable/)
  assert.deepEqual(world.dialled, [])
})

test('events stream through an interception one by one, and end when the secret is taken back', async (t) => {
  let send: (text: string) => void = () => assert.fail('not connected')
  const world = await createWorld(t, {
    handler: (_req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' })
      res.flushHeaders()
      send = (text) => void res.write(`data: ${text}\n\n`)
    },
  })
  const secret = world.seal('key', canary, [{ host: 'api.example', port: null }])
  await world.allow({ rules: [rule('api.example')], secrets: [secret] })
  const tls = await inside(world, 'api.example')
  tls.write('GET / HTTP/1.1\r\nHost: api.example\r\n\r\n')
  await readUntil(tls, (text) => text.includes('text/event-stream'))
  for (const text of ['one', canary, 'three']) {
    send(text)
    const got = await readUntil(tls, (event) => event.includes('\n\n'))
    assert.ok(!got.includes(canary))
  }
  const closed = new Promise((resolve) => tls.once('close', resolve))
  tls.on('error', () => {}).resume()
  await world.allow({ rules: [rule('api.example')], secrets: [] })
  await closed
  await world.recorded(({ kind, reason }) => kind === 'http' && reason === 'revoked')
})

test('a WebSocket works through an interception, with the secret in its handshake and not in its frames', async (t) => {
  const sockets = new WebSocketServer({ noServer: true })
  t.after(() => sockets.close())
  const world = await createWorld(t, {
    prepare: (server) =>
      server.on('upgrade', (req, socket, head) =>
        sockets.handleUpgrade(req, socket, head, (ws) => {
          ws.send(`hello ${req.headers.authorization ?? ''} ${req.headers['sec-websocket-extensions'] ?? 'plain'}`)
          ws.on('message', (data: Buffer) => ws.send(`echo ${data.toString()}`))
        }),
      ),
  })
  const secret = world.seal('key', canary, [{ host: 'api.example', port: null }])
  await world.allow({ rules: [rule('api.example')], secrets: [secret] })
  const tls = await inside(world, 'api.example')
  const client = new WebSocket('ws://api.example/live', { createConnection: () => tls })
  const got: string[] = []
  await new Promise<void>((resolve, reject) => {
    client.on('error', reject)
    client.on('message', (data: Buffer) => {
      got.push(data.toString())
      if (got.length === 1) client.send('hi')
      else resolve()
    })
  })
  assert.match(got[0] ?? '', /^hello Bearer \[hidden by slopbox\]\** plain$/)
  assert.equal(got[1], 'echo hi')
  client.close()
  const record = await world.recorded(({ status }) => status === 101)
  assert.equal(record.decision, 'allow')
  expectNoCanary(world, got)
})

test('a client that does not trust the CA leaves one record', async (t) => {
  const world = await createWorld(t)
  const secret = world.seal('key', canary, [{ host: 'api.example', port: null }])
  await world.allow({ rules: [rule('api.example')], secrets: [secret] })
  await assert.rejects(inside(world, 'api.example', [world.rootPem]))
  await world.recorded(
    ({ kind, host, detail, reason }) =>
      kind === 'tunnel' && host === 'api.example' && (detail['unused'] === true || reason === 'tls_failed'),
  )
})

test('an upstream certificate for another name, or from our own CA, is refused', async (t) => {
  const world = await createWorld(t)
  const secret = world.seal('key', canary, [{ host: 'wrong.test', port: null }])
  world.names.set('wrong.test', ['93.184.216.34'])
  await world.allow({ rules: [rule('wrong.test')], secrets: [secret] })
  const answer = await ask(await inside(world, 'wrong.test'), 'wrong.test')
  assert.match(answer, /^HTTP\/1\.1 502[\s\S]*X-Slopbox-Deny: tls_failed/i)
})

/** The value is in nothing that leaves, is kept, or is logged. */
function expectNoCanary(world: World, answers: string[]): void {
  const files = readdirSync(world.directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(world.directory, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path, 'latin1'))
  const everything = [
    ...answers,
    ...world.logged,
    JSON.stringify(world.audit),
    JSON.stringify(world.readings),
    ...files,
  ]
  const spelt = [
    canary,
    encodeURIComponent(canary),
    ...[0, 1, 2].map((n) =>
      Buffer.from('x'.repeat(n) + canary)
        .toString('base64')
        .slice(4, 24),
    ),
  ]
  for (const text of everything) for (const value of spelt) assert.ok(!text.includes(value), text.slice(0, 500))
}
