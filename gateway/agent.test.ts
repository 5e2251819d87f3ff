import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, beforeEach, test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { SlopboxError } from '../contract/errors.ts'
import { newId } from '../contract/ids.ts'
import { ask, grantFor, ids, navigation, openPlace, ownerOnly, scopes, startWorld } from './world.fixture.ts'
import type { World } from './world.fixture.ts'

let world: World
let host: string
let cookie: string
const inner = new WebSocketServer({ noServer: true })
const appPath = `/agents/${ids.agent}/gateway/`

before(async () => {
  world = await startWorld()
  host = `${ids.agent}.agent.${world.domain}`
  cookie = await openPlace(world, appPath, host)
})
after(async () => {
  inner.close()
  await world[Symbol.asyncDispose]()
})
beforeEach(() => {
  world.seen.length = 0
  world.control.onAuthorize = ownerOnly
  world.onInner = (_request, response) => void response.end('the page')
  world.onUpgrade = (request, socket, head) =>
    inner.handleUpgrade(request, socket, head, (agent) => {
      agent.on('message', (data: Buffer) => agent.send(`heard ${data.toString()}`))
      agent.send('challenge')
    })
})

/** Messages of the page's side, one after another. */
async function openSocket(headers: Record<string, string> = {}) {
  const socket = new WebSocket(`ws://127.0.0.1:${world.port}/`, {
    headers: { host, origin: `http://${host}`, cookie, ...headers },
  })
  const waiting: ((text: string) => void)[] = []
  const arrived: string[] = []
  socket.on('message', (data: Buffer) => {
    const next = waiting.shift()
    if (next === undefined) arrived.push(data.toString())
    else next(data.toString())
  })
  const read = (): Promise<string> =>
    new Promise((resolve) => {
      const ready = arrived.shift()
      if (ready === undefined) waiting.push(resolve)
      else resolve(ready)
    })
  await Promise.race([
    once(socket, 'open'),
    once(socket, 'error').then(([error]) => {
      throw error
    }),
  ])
  return { socket, read, send: (value: unknown) => socket.send(JSON.stringify(value)) }
}

test('the hand-over ends at the agent with a cookie for its host alone', async () => {
  const left = await ask(world, world.domain, `${appPath}?to=/chat`, {
    headers: { cookie: 'app=session-1', ...navigation },
  })
  assert.equal(left.status, 303)
  const entry = new URL(left.headers.location ?? '')
  assert.equal(entry.host, host)
  const entered = await ask(world, host, entry.pathname + entry.search, { headers: navigation })
  assert.match(
    entered.headers['set-cookie']?.[0] ?? '',
    /^slopbox-visit=[\w.-]+; Max-Age=43200; Path=\/; HttpOnly; SameSite=Lax$/,
  )
  assert.equal(entered.headers['referrer-policy'], 'no-referrer')
  const own = entered.headers['set-cookie']?.[0]?.split(';')[0] ?? ''
  const checked = await ask(world, host, entered.headers.location ?? '', { headers: { cookie: own } })
  assert.equal(checked.headers.location, '/chat')
  assert.equal((await ask(world, host, '/', { headers: { cookie: own } })).text, 'the page')
  const again = await ask(world, host, entry.pathname + entry.search)
  assert.equal(again.status, 401, 'a token works once')
})

test('a token or cookie of one agent is worth nothing at another', async () => {
  const left = await ask(world, world.domain, appPath, { headers: { cookie: 'app=session-1' } })
  const entry = new URL(left.headers.location ?? '')
  const other = `${newId('agent')}.agent.${world.domain}`
  assert.equal((await ask(world, other, entry.pathname + entry.search)).status, 401)
  assert.equal((await ask(world, other, '/', { headers: { cookie } })).status, 401)
  const token = entry.searchParams.get('token') ?? ''
  assert.equal((await ask(world, host, '/', { headers: { cookie: `slopbox-visit=${token}` } })).status, 401)
})

test('the hand-over never leads to another host', async () => {
  for (const to of ['//evil.example/', '/\\evil.example', 'https://evil.example/']) {
    const left = await ask(world, world.domain, `${appPath}?${new URLSearchParams({ to })}`, {
      headers: { cookie: 'app=session-1' },
    })
    const entry = new URL(left.headers.location ?? '')
    assert.equal(entry.host, host)
    const entered = await ask(world, host, entry.pathname + entry.search)
    const own = entered.headers['set-cookie']?.[0]?.split(';')[0] ?? ''
    const checked = await ask(world, host, entered.headers.location ?? '', { headers: { cookie: own } })
    assert.equal(checked.headers.location, '/')
  }
})

test('a stranger, a foreign agent and an unknown agent get no further than the app', async () => {
  assert.equal((await ask(world, world.domain, appPath, { headers: navigation })).status, 401)
  const foreign = await ask(world, world.domain, `/agents/${newId('agent')}/gateway/`, {
    headers: { cookie: 'app=session-1', ...navigation },
  })
  assert.equal(foreign.status, 404)
  assert.match(foreign.text, /<html/)
  const byKey = await ask(world, world.domain, appPath, { headers: { authorization: 'Bearer key-1' } })
  assert.equal(byKey.status, 403)
  assert.equal(world.seen.length, 0)
})

test('a page load without a session is sent to the app and back, anything else is told', async () => {
  const load = await ask(world, host, '/chat?x=1', { headers: navigation })
  assert.equal(load.headers.location, `http://${world.domain}${appPath}?to=%2Fchat%3Fx%3D1`)
  assert.equal((await ask(world, host, '/assets/a.js')).status, 401)
  const noCookies = await ask(world, host, '/__slopbox/check?to=/', { headers: navigation })
  assert.equal(noCookies.status, 401)
  assert.match(noCookies.text, /cookie/)
})

test('the agent hears who it is from the gateway alone', async () => {
  const forged = {
    cookie: `${cookie}; theirs=1; __Host-slopbox-visit=x`,
    authorization: 'Bearer stolen',
    'x-api-key': 'k',
    'x-user-id': 'u',
    'x-forwarded-for': '10.0.0.1',
    'x-forwarded-user': 'control-plane',
    'x-forwarded-host': 'evil',
    'x-real-ip': '10.0.0.1',
    forwarded: 'for=10.0.0.1',
    'x-openclaw-scopes': 'operator.admin',
    'x-openclaw-anything': '1',
    'x-slopbox-x': '1',
  }
  assert.equal((await ask(world, host, '/', { headers: forged })).status, 200)
  const { headers } = world.seen[0] ?? assert.fail('nothing arrived')
  assert.equal(headers.cookie, 'theirs=1')
  assert.equal(headers.host, host)
  assert.equal(headers['x-forwarded-for'], '192.0.2.1')
  assert.equal(headers['x-forwarded-proto'], 'http')
  assert.equal(headers['x-forwarded-host'], host)
  assert.equal(headers['x-forwarded-user'], ids.user)
  assert.equal(headers['x-openclaw-scopes'], scopes)
  for (const name of [
    'authorization',
    'x-api-key',
    'x-user-id',
    'x-real-ip',
    'forwarded',
    'x-openclaw-anything',
    'x-slopbox-x',
  ])
    assert.equal(headers[name], undefined, name)
})

test('what the answer says beyond its own origin is dropped', async () => {
  world.onInner = (_request, response) => {
    response.setHeader('set-cookie', [
      `a=1; Domain=${world.domain}; Path=/`,
      'slopbox-visit=forged',
      '__Host-slopbox-visit=x',
    ])
    response.setHeader('strict-transport-security', 'max-age=1; includeSubDomains')
    response.setHeader('clear-site-data', '"*"')
    response.setHeader('service-worker-allowed', '/')
    response.setHeader('content-security-policy', "frame-ancestors 'none'")
    response.end('x')
  }
  const { headers } = await ask(world, host, '/', { headers: { cookie } })
  assert.deepEqual(headers['set-cookie'], ['a=1; Path=/'])
  for (const name of ['strict-transport-security', 'clear-site-data', 'service-worker-allowed'])
    assert.equal(headers[name], undefined, name)
  assert.equal(headers['content-security-policy'], "frame-ancestors 'none'")
})

const closed: [method: string, path: string][] = [
  ['POST', '/tools/invoke'],
  ['GET', '/tools/invoke'],
  ['POST', '/'],
  ['GET', '/v1/models'],
  ['POST', '/v1/chat/completions'],
  ['POST', '/hooks/agent'],
  ['POST', '/api/v1/admin/rpc'],
  ['GET', '/api/diagnostics/prometheus'],
  ['GET', '/oauth/callback'],
  ['GET', '/plugins/x'],
  ['HEAD', '/tools/invoke'],
  ['GET', '/share/session'],
  ['GET', '/approve/x'],
  ['GET', '/sessions/main/history'],
  ['GET', '/TOOLS/invoke'],
  ['GET', '/%74ools/invoke'],
  ['GET', '/j/x'],
  ['DELETE', '/avatar/x'],
]
for (const [method, path] of closed)
  test(`${method} ${path} of the agent is closed`, async () => {
    const answer = await ask(world, host, path, { method, headers: { cookie, ...navigation } })
    assert.equal(answer.status, 403)
    assert.equal(world.seen.length, 0)
  })

for (const path of [
  '/',
  '/chat',
  '/sessions',
  '/assets/x-1.js',
  '/sw.js',
  '/control-ui-config.json',
  '/avatar/main',
  '/__openclaw__/assistant-media?x=1',
])
  test(`GET ${path} of the agent is open`, async () => {
    assert.equal((await ask(world, host, path, { headers: { cookie, ...navigation } })).status, 200)
  })

test('messages are judged one by one: the allowed are rebuilt, the rest are answered and recorded once', async () => {
  const { socket, read, send } = await openSocket()
  assert.equal(await read(), 'challenge')
  send({
    type: 'req',
    id: '1',
    method: 'connect',
    params: { role: 'operator', scopes: ['operator.admin'], device: { id: 'd' } },
  })
  assert.equal(
    await read(),
    'heard {"type":"req","id":"1","method":"connect","params":{"role":"operator","scopes":[]}}',
  )
  send({ type: 'req', id: '2', method: 'config.patch', params: { raw: '{}' } })
  const refusal = JSON.parse(await read()) as { id: string; ok: boolean; error: { code: string } }
  assert.deepEqual([refusal.id, refusal.ok, refusal.error.code], ['2', false, 'FORBIDDEN'])
  // Two spellings of one key: what was judged is what is sent.
  socket.send('{"type":"req","id":"3","method":"config.patch","method":"health"}')
  assert.equal(await read(), 'heard {"type":"req","id":"3","method":"health","params":{}}')
  socket.close()
  await once(socket, 'close')
  const records = () => world.control.audit.filter((record) => record.kind === 'rpc')
  await world.control.until(() => records().some((record) => record.decision === 'allow'))
  const denied = records().filter((record) => record.decision === 'deny')
  assert.equal(denied.length, 1)
  assert.equal(denied[0]?.reason, 'method_blocked')
  assert.equal(denied[0].detail['rpc'], 'config.patch')
})

for (const [name, message] of [
  ['that is not JSON', '{'],
  ['in binary', Buffer.from('{"type":"req","id":"1","method":"connect"}')],
  ['before connect', '{"type":"req","id":"1","method":"health"}'],
  [
    'that is too long for the first',
    JSON.stringify({ type: 'req', id: '1', method: 'connect', params: { x: 'x'.repeat(70_000) } }),
  ],
] as const)
  test(`a message ${name} closes the connection and never reaches the agent`, async () => {
    let reached = false
    world.onUpgrade = (request, socket, head) =>
      inner.handleUpgrade(request, socket, head, (agent) => agent.on('message', () => (reached = true)))
    const { socket } = await openSocket()
    socket.send(message)
    const [code] = (await once(socket, 'close')) as [number]
    assert.equal(code, 1008)
    assert.equal(reached, false)
  })

test('a WebSocket from another origin, or without a session, is refused', async () => {
  await assert.rejects(openSocket({ origin: 'http://evil.example' }), /403/)
  await assert.rejects(openSocket({ origin: `http://${world.domain}` }), /403/)
  await assert.rejects(openSocket({ cookie: '' }), /401/)
  assert.equal(world.seen.length, 0)
})

test('when the session ends, the open WebSocket is cut at once', async () => {
  let grantId = ''
  world.control.onAuthorize = (question) => {
    const grant = grantFor(question)
    grantId = grant.grantId
    return grant
  }
  const { socket, read } = await openSocket()
  await read()
  const cut = once(socket, 'close')
  await world.control.until(() => world.control.syncs.at(-1)?.grants.includes(grantId) === true)
  world.control.ended.add(grantId)
  world.control.notify()
  const [code] = (await cut) as [number]
  assert.equal(code, 1006)
  await world.control.until(() => world.control.syncs.at(-1)?.grants.includes(grantId) === false)
  world.control.ended.clear()
})

test("the agent's closing code reaches the page", async () => {
  world.onUpgrade = (request, socket, head) =>
    inner.handleUpgrade(request, socket, head, (agent) => agent.close(1012, 'service restart'))
  const { socket } = await openSocket()
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer]
  assert.deepEqual([code, reason.toString()], [1012, 'service restart'])
})

test('a stopped agent answers with its state, as a page for people', async () => {
  world.control.onAuthorize = () => {
    throw new SlopboxError('wrong_state', 'agent is stopped', { hint: 'Start it in the console.' })
  }
  const answer = await ask(world, world.domain, appPath, { headers: { cookie: 'app=session-1', ...navigation } })
  assert.equal(answer.status, 409)
  assert.match(answer.text, /Start it in the console/)
})

test('bytes in both directions are counted for the sandbox and reported', async () => {
  world.onInner = (_request, response) => void response.end('x'.repeat(10_000))
  const total = (meter: string): number =>
    world.control.syncs.at(-1)?.readings.find((reading) => reading.meter === meter)?.total ?? 0
  const before = total('gateway_out_bytes')
  await ask(world, host, '/', { headers: { cookie } })
  await world.control.until(() => total('gateway_out_bytes') >= before + 10_000)
  assert.ok(total('gateway_in_bytes') > 0)
  assert.equal(world.control.syncs.at(-1)?.readings[0]?.sandboxId, ids.sandbox)
})

test('without control nothing new opens, and what is open is cut when the grace is over', async () => {
  await using other = await startWorld({ deps: { graceMs: 0 } })
  const theirs = `${ids.agent}.agent.${other.domain}`
  other.onUpgrade = (request, socket, head) =>
    inner.handleUpgrade(request, socket, head, (agent) => agent.send('hello'))
  const own = await openPlace(other, appPath, theirs)
  const socket = new WebSocket(`ws://127.0.0.1:${other.port}/`, {
    headers: { host: theirs, origin: `http://${theirs}`, cookie: own },
  })
  await once(socket, 'message')
  const cut = once(socket, 'close')
  await other.control.close()
  await cut
  assert.equal((await ask(other, theirs, '/', { headers: { cookie: own } })).status, 503)
})
