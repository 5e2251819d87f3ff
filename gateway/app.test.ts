import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { request as httpsRequest } from 'node:https'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ask, ids, navigation, raw, startWorld } from './world.fixture.ts'
import type { World } from './world.fixture.ts'

let world: World
before(async () => void (world = await startWorld()))
after(() => world[Symbol.asyncDispose]())

test('an API request reaches control with the address, scheme and host that the gateway saw', async () => {
  let seen: IncomingMessage | undefined
  world.control.onPublic = (incoming, response) => {
    seen = incoming
    response.setHeader('set-cookie', ['a=1', 'b=2'])
    response.end('{"ok":true}')
  }
  const forged = {
    'x-forwarded-for': '8.8.8.8',
    forwarded: 'for=8.8.8.8',
    'x-real-ip': '8.8.8.8',
    'x-slopbox-client-address': '8.8.8.8',
    'x-openclaw-scopes': 'operator.admin',
    authorization: 'Bearer key-1',
    'proxy-authorization': 'Basic x',
  }
  const answer = await ask(world, world.domain, '/v1/me?x=1', { headers: forged })
  assert.deepEqual([answer.status, answer.text], [200, '{"ok":true}'])
  assert.deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2'])
  assert.equal(seen?.url, '/v1/me?x=1')
  assert.equal(seen.headers['x-forwarded-for'], '127.0.0.1')
  assert.equal(seen.headers['x-slopbox-client-address'], '127.0.0.1')
  assert.equal(seen.headers['x-forwarded-proto'], 'http')
  assert.equal(seen.headers['x-forwarded-host'], world.domain)
  assert.equal(seen.headers.authorization, 'Bearer key-1')
  for (const name of ['forwarded', 'x-real-ip', 'x-openclaw-scopes', 'proxy-authorization'])
    assert.equal(seen.headers[name], undefined, name)
})

test('a body is passed on, chunked or with a length', async () => {
  world.control.onPublic = (incoming, response) => void incoming.pipe(response)
  for (const headers of [{ 'content-length': 5 }, { 'transfer-encoding': 'chunked' }]) {
    const answer = await ask(world, world.domain, '/v1/echo', { method: 'POST', headers, body: 'hello' })
    assert.equal(answer.text, 'hello')
  }
})

test('an event stream arrives piece by piece', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  world.control.onPublic = (_incoming, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: 1\n\n')
    void promise.then(() => response.end('data: 2\n\n'))
  }
  const response = await fetch(`http://127.0.0.1:${world.port}/v1/events`)
  const chunks: string[] = []
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    chunks.push(chunk)
    // The second half is only written once the first has come through.
    resolve()
  }
  assert.equal(chunks.join(''), 'data: 1\n\ndata: 2\n\n')
})

test('a declared body over the limit is refused before control hears of it', async () => {
  let reached = false
  world.control.onPublic = (_incoming, response) => {
    reached = true
    response.end()
  }
  const headers = { 'content-length': 9 * 1024 * 1024, connection: 'close' }
  const answer = await raw(
    world,
    `POST /v1/x HTTP/1.1\r\nHost: ${world.domain}\r\nContent-Length: ${headers['content-length']}\r\n\r\n`,
  )
  assert.match(answer, /^HTTP\/1\.1 413 /)
  assert.match(answer, /"too_large"/)
  assert.equal(reached, false)
})

for (const path of ['/internal/sync/host', '/internal/gateway/authorize', '/Internal/x', '/api/other', '/internal'])
  test(`${path} cannot be reached from outside`, async () => {
    let reached = false
    world.control.onPublic = (_incoming, response) => {
      reached = true
      response.end()
    }
    const headers = { authorization: 'Bearer gateway-token' }
    const answer = await ask(world, world.domain, path, { method: 'POST', headers })
    assert.equal(answer.status, 404)
    assert.equal(reached, false)
  })

const malformed: [name: string, text: string][] = [
  ['two Host headers', 'GET /v1/x HTTP/1.1\r\nHost: DOMAIN\r\nHost: other\r\n'],
  ['no Host header', 'GET /v1/x HTTP/1.1\r\n'],
  ['length and chunks', 'POST /v1/x HTTP/1.1\r\nHost: DOMAIN\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n'],
  ['two lengths', 'POST /v1/x HTTP/1.1\r\nHost: DOMAIN\r\nContent-Length: 4\r\nContent-Length: 5\r\n'],
  ['a coding other than chunked', 'POST /v1/x HTTP/1.1\r\nHost: DOMAIN\r\nTransfer-Encoding: gzip, chunked\r\n'],
  ['a look-alike of a length', 'POST /v1/x HTTP/1.1\r\nHost: DOMAIN\r\nContent_Length: 4\r\n'],
  ['a look-alike of a proxy header', 'GET /v1/x HTTP/1.1\r\nHost: DOMAIN\r\nX_Slopbox_Client_Address: 1\r\n'],
  ['an absolute target', 'GET http://other/v1/x HTTP/1.1\r\nHost: DOMAIN\r\n'],
  ['dot segments', 'GET /v1/../internal/sync/host HTTP/1.1\r\nHost: DOMAIN\r\n'],
  ['encoded dot segments', 'GET /v1/%2e%2E/internal HTTP/1.1\r\nHost: DOMAIN\r\n'],
  ['an encoded slash', 'GET /v1/..%2finternal HTTP/1.1\r\nHost: DOMAIN\r\n'],
  ['a backslash', 'GET /v1\\x HTTP/1.1\r\nHost: DOMAIN\r\n'],
  ['a double slash', 'GET //v1/x HTTP/1.1\r\nHost: DOMAIN\r\n'],
  ['TRACE', 'TRACE /v1/x HTTP/1.1\r\nHost: DOMAIN\r\n'],
  ['CONNECT', 'CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n'],
  ['a folded header', 'GET /v1/x HTTP/1.1\r\nHost: DOMAIN\r\nX-A: 1\r\n 2\r\n'],
  ['a space before the colon', 'GET /v1/x HTTP/1.1\r\nHost : DOMAIN\r\n'],
  ['Connection naming cookie', 'GET /v1/x HTTP/1.1\r\nHost: DOMAIN\r\nConnection: close, cookie\r\n'],
  ['two credentials', 'GET /v1/x HTTP/1.1\r\nHost: DOMAIN\r\nAuthorization: a\r\nAuthorization: b\r\n'],
]
for (const [name, text] of malformed)
  test(`a request with ${name} is refused and reaches nobody`, async () => {
    let reached = false
    world.control.onPublic = (_incoming, response) => {
      reached = true
      response.end()
    }
    const close = text.includes('Connection:') ? '' : 'Connection: close\r\n'
    const answer = await raw(world, `${text.replace('DOMAIN', world.domain)}${close}\r\n`)
    assert.ok(answer === '' || answer.startsWith('HTTP/1.1 400 '), answer.slice(0, 100))
    assert.equal(reached, false)
  })

test('a host name that is not ours gets a page that is not the app', async () => {
  for (const host of ['evil.example', `x.${world.domain}`, `${ids.agent}.${world.domain}`, 'localhost:1']) {
    const answer = await ask(world, host, '/', { headers: navigation })
    assert.equal(answer.status, 404, host)
    assert.doesNotMatch(answer.text, /Console</)
  }
})

test('a write with the cookie from a page of another origin is refused, with a key it passes', async () => {
  world.control.onPublic = (_incoming, response) => void response.end('{}')
  const origin = `http://${ids.agent}.agent.${world.domain}`
  const write = (headers: Record<string, string>) => ask(world, world.domain, '/v1/agents', { method: 'POST', headers })
  assert.equal((await write({ cookie: 'app=session-1', origin })).status, 403)
  assert.equal((await write({ cookie: 'app=session-1', 'sec-fetch-site': 'same-site' })).status, 403)
  assert.equal((await write({ cookie: 'app=session-1', origin: `http://${world.domain}` })).status, 200)
  assert.equal((await write({ cookie: 'app=session-1' })).status, 200)
  assert.equal((await write({ authorization: 'Bearer key-1', origin })).status, 200)
})

test('the console is served with its own policy, and every other path is its page', async () => {
  const page = await ask(world, world.domain, '/agents/new', { headers: navigation })
  assert.equal(page.status, 200)
  assert.match(page.text, /Console/)
  const hash = createHash('sha256').update('go()').digest('base64')
  assert.match(
    String(page.headers['content-security-policy']),
    new RegExp(`script-src 'self' 'sha256-${RegExp.escape(hash)}'`),
  )
  const again = await ask(world, world.domain, '/', { headers: { 'if-none-match': String(page.headers.etag) } })
  assert.equal(again.status, 304)
  const asset = await ask(world, world.domain, '/assets/app-1a2b3c.js')
  assert.deepEqual(
    [asset.status, asset.text, asset.headers['content-type'], asset.headers['cache-control']],
    [200, 'export {}', 'text/javascript; charset=utf-8', 'public, max-age=31536000, immutable'],
  )
  assert.equal((await ask(world, world.domain, '/assets/none.js')).status, 404)
})

test('no path leads out of the console directory', async () => {
  for (const path of ['/../outside.txt', '/%2e%2e/outside.txt', '/assets/..%2f..%2foutside.txt', '/..%5coutside.txt'])
    assert.doesNotMatch(
      await raw(world, `GET ${path} HTTP/1.1\r\nHost: ${world.domain}\r\nConnection: close\r\n\r\n`),
      /not for the public/,
    )
})

test('TLS on the same port has a certificate for every kind of origin', async () => {
  for (const name of [world.domain, `x.${world.domain}`, `x.agent.${world.domain}`, 'localhost']) {
    const call = httpsRequest({
      host: '127.0.0.1',
      port: world.port,
      servername: name,
      ca: world.authority,
      agent: false,
      headers: { host: world.domain },
      path: '/assets/app-1a2b3c.js',
    })
    call.end()
    const [response] = (await once(call, 'response')) as [IncomingMessage]
    assert.equal(response.statusCode, 200)
    assert.equal(response.headers['strict-transport-security'], 'max-age=31536000')
    response.resume()
    await once(response, 'end')
  }
})

test('without a built console there is a page that says how to build it', async () => {
  await using other = await startWorld()
  await rm(join(other.directory, 'console'), { recursive: true })
  const answer = await ask(other, other.domain, '/', { headers: navigation })
  assert.equal(answer.status, 503)
  assert.match(answer.text, /build:console/)
})

test('without control the API answers unavailable', async () => {
  await using other = await startWorld()
  await other.control.close()
  const answer = await ask(other, other.domain, '/v1/me')
  assert.equal(answer.status, 503)
  assert.match(answer.text, /"unavailable"/)
})

test('guessing passwords meets a limit that says when to come back', async () => {
  const rates = {
    signIn: { burst: 2, perSecond: 0.001 },
    anonymous: { burst: 100, perSecond: 100 },
    known: { burst: 100, perSecond: 100 },
  }
  await using other = await startWorld({ deps: { rates } })
  const path = '/api/auth/sign-in/email'
  const statuses = []
  for (let n = 0; n < 3; n++) statuses.push(await ask(other, other.domain, path, { method: 'POST' }))
  assert.deepEqual(
    statuses.map((answer) => answer.status),
    [200, 200, 429],
  )
  assert.ok(Number(statuses[2]?.headers['retry-after']) > 100)
  assert.equal((await ask(other, other.domain, '/v1/me')).status, 200)
})
