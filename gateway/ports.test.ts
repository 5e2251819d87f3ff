import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { after, before, beforeEach, test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { newId } from '../contract/ids.ts'
import { ask, ids, navigation, openPlace, ownerOnly, startWorld } from './world.fixture.ts'
import type { World } from './world.fixture.ts'

let world: World
let host: string
const inner = new WebSocketServer({ noServer: true })
before(async () => {
  world = await startWorld()
  host = `3000-${ids.sandbox}.${world.domain}`
})
after(async () => {
  inner.close()
  await world[Symbol.asyncDispose]()
})
beforeEach(() => {
  world.seen.length = 0
  world.onInner = (request, response) => void request.pipe(response)
  world.onUpgrade = (request, socket, head) =>
    inner.handleUpgrade(request, socket, head, (server) => server.on('message', (data: Buffer) => server.send(data)))
})

const open = () => openPlace(world, `/sandboxes/${ids.sandbox}/ports/3000/`, host)

test('a key opens a port, and goes no further', async () => {
  for (const headers of [{ authorization: 'Bearer key-1' }, { 'x-api-key': 'key-1', 'x-user-id': 'u' }]) {
    const answer = await ask(world, host, '/any/path?x=1', { method: 'POST', headers, body: 'hello' })
    assert.deepEqual([answer.status, answer.text], [200, 'hello'])
    const seen = world.seen.at(-1)
    assert.equal(seen?.url, '/any/path?x=1')
    for (const name of ['authorization', 'x-api-key', 'x-user-id']) assert.equal(seen.headers[name], undefined, name)
    assert.equal(seen.headers['x-forwarded-host'], host)
  }
})

test("a session opens a port, and the page's own credentials pass", async () => {
  const cookie = await open()
  const headers = { cookie: `${cookie}; own=1`, authorization: 'Bearer their-own' }
  assert.equal((await ask(world, host, '/', { headers })).status, 200)
  const seen = world.seen.at(-1)
  assert.equal(seen?.headers.cookie, 'own=1')
  assert.equal(seen.headers.authorization, 'Bearer their-own')
})

test('a port of a foreign sandbox, another port with this cookie, and a stranger are refused', async () => {
  const cookie = await open()
  const foreign = `3000-${newId('sandbox')}.${world.domain}`
  assert.equal((await ask(world, foreign, '/', { headers: { authorization: 'Bearer key-1' } })).status, 404)
  assert.equal((await ask(world, `3001-${ids.sandbox}.${world.domain}`, '/', { headers: { cookie } })).status, 401)
  assert.equal((await ask(world, host, '/')).status, 401)
  const load = await ask(world, host, '/x', { headers: navigation })
  assert.equal(load.headers.location, `http://${world.domain}/sandboxes/${ids.sandbox}/ports/3000/?to=%2Fx`)
  assert.equal(world.seen.length, 0)
})

test('a closed port says so on a page', async () => {
  const headers = { authorization: 'Bearer key-1', ...navigation }
  const answer = await ask(world, `9-${ids.sandbox}.${world.domain}`, '/', { headers })
  assert.equal(answer.status, 502)
  assert.match(answer.text, /Nothing listens on port 9/)
})

test('a port that believes the gateway is not open as a port, neither for requests nor for WebSockets', async () => {
  const before = world.control.onAuthorize
  world.control.onAuthorize = (question) => ({ ...ownerOnly(question), trustingPort: 3000 })
  try {
    const headers = { authorization: 'Bearer key-1', 'x-forwarded-user': 'control-plane' }
    const answer = await ask(world, host, '/', { headers })
    assert.equal(answer.status, 403)
    assert.match(answer.text, /port 3000 .* is open to the agent's own page only/)
    const socket = new WebSocket(`ws://127.0.0.1:${world.port}/`, { headers: { ...headers, host } })
    const [error] = (await once(socket, 'error')) as [Error]
    assert.match(error.message, /403/)
    assert.equal(world.seen.length, 0)
  } finally {
    world.control.onAuthorize = before
  }
})

/** A request with a key whose answer is read by the test. */
function begin(method: string, path: string): { call: ClientRequest; answered: Promise<IncomingMessage> } {
  const headers = { host, authorization: 'Bearer key-1' }
  const call = request({ port: world.port, host: '127.0.0.1', method, path, agent: false, headers })
  const answered = once(call, 'response').then(([response]) => response as IncomingMessage)
  return { call, answered }
}

test('events pass one by one while the answer stays open', async () => {
  let server: ServerResponse | undefined
  world.onInner = (_request, response) => {
    server = response
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: 1\n\n')
  }
  const { call, answered } = begin('GET', '/events')
  call.end()
  const chunks = (await answered).setEncoding('utf8')[Symbol.asyncIterator]()
  assert.equal((await chunks.next()).value, 'data: 1\n\n')
  server?.write('data: 2\n\n')
  assert.equal((await chunks.next()).value, 'data: 2\n\n')
  server?.end()
  assert.equal((await chunks.next()).done, true)
})

test('an upload of many megabytes passes while its echo comes back', async () => {
  const { call, answered } = begin('POST', '/upload')
  const block = Buffer.alloc(64 * 1024, 7)
  const blocks = 640
  const sent = pipeline(Readable.from(Array.from({ length: blocks }, () => block)), call)
  let bytes = 0
  for await (const chunk of (await answered) as AsyncIterable<Buffer>) bytes += chunk.length
  await sent
  assert.equal(bytes, blocks * block.length)
})

test('an answer that breaks off breaks off for the client too', async () => {
  world.onInner = (_request, response) => {
    response.writeHead(200, { 'content-length': 100 })
    response.write('half', () => response.destroy())
  }
  await assert.rejects(ask(world, host, '/', { headers: { authorization: 'Bearer key-1' } }))
})

test('a WebSocket is joined, with a key or from its own origin only', async () => {
  const cookie = await open()
  const connect = (headers: Record<string, string>): WebSocket =>
    new WebSocket(`ws://127.0.0.1:${world.port}/ws`, { headers: { host, ...headers } })
  for (const headers of [{ authorization: 'Bearer key-1' }, { cookie, origin: `http://${host}` }]) {
    const socket = connect(headers)
    await once(socket, 'open')
    socket.send('echo')
    const [data] = (await once(socket, 'message')) as [Buffer]
    assert.equal(data.toString(), 'echo')
    socket.close()
    await once(socket, 'close')
  }
  for (const headers of [{ cookie, origin: 'http://evil.example' }, { cookie }]) {
    const [error] = (await once(connect(headers), 'error')) as [Error]
    assert.match(error.message, /403/)
  }
})
