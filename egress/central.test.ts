import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { createWorld, readAll, readUntil, rule, type World } from './testing.ts'

const hash = (token: string): string => createHash('sha256').update(token).digest('hex')

/** A connection from elsewhere that has sent one request with this token; null: without credentials. */
function ask(t: TestContext, world: World, token: string | null, target: string, more = ''): Socket {
  const socket = connect(world.egress.ports.central ?? assert.fail(), '127.0.0.1')
  const basic = Buffer.from(`${world.sandbox.agentId}:${token}`).toString('base64')
  const auth = token === null ? '' : `Proxy-Authorization: Basic ${basic}\r\n`
  const host = target.replace(/^http:\/\/|\/.*$/g, '')
  socket.write(
    `${target.startsWith('http:') ? 'GET' : 'CONNECT'} ${target} HTTP/1.1\r\nHost: ${host}\r\n${auth}${more}\r\n`,
  )
  // Paused, it would not see the end and keep the test alive.
  t.after(() => socket.destroy())
  return socket.on('error', () => {})
}
const plain = 'http://ok.example/'
const tunnel = 'ok.example:443'
const close = 'Connection: close\r\n'
const headOf = (socket: Socket): Promise<string> => readUntil(socket, (text) => text.includes('\r\n\r\n'))

test('the central listener wants credentials, takes the right ones and slows down guessing', async (t) => {
  const world = await createWorld(t)
  await world.allow({ rules: [rule('ok.example')], proxyTokenHash: hash('right') })
  for (const target of [plain, tunnel]) {
    const bare = await readAll(ask(t, world, null, target, close))
    assert.match(bare, /^HTTP\/1\.1 407[\s\S]*Proxy-Authenticate: Basic/i)
    assert.match(bare, /X-Slopbox-Deny: unidentified/i)
    assert.match(await readAll(ask(t, world, 'wrong', target, close)), /^HTTP\/1\.1 407/)
    const socket = ask(t, world, 'right', target, close)
    assert.match(await headOf(socket), /^HTTP\/1\.1 200/)
    socket.destroy()
  }
  const refused = await readAll(ask(t, world, 'right', 'http://b.example/', close))
  assert.match(refused, /^HTTP\/1\.1 403[\s\S]*X-Slopbox-Deny: no_rule/i)
  for (let i = 0; i < 20; i++) await readAll(ask(t, world, 'guess', plain, close))
  assert.match(await readAll(ask(t, world, 'right', plain, close)), /^HTTP\/1\.1 429[\s\S]*Retry-After/i)
  // Strangers cannot fill the audit: of two dozen of their requests it holds one for every second at most.
  await world.recorded(({ reason, detail }) => reason === 'unidentified' && detail['from'] === '127.0.0.1')
  assert.ok(world.audit.filter(({ reason }) => reason === 'unidentified').length < 20)
})

test('an agent without a token, and one that nobody knows, are not let in', async (t) => {
  const world = await createWorld(t)
  await world.allow({ rules: [rule('ok.example')], proxyTokenHash: null })
  for (const token of ['', 'null', 'any'])
    assert.match(await readAll(ask(t, world, token, plain, close)), /^HTTP\/1\.1 407/)
  await world.allow({ agentId: 'ag0000000000000000', rules: [rule('ok.example')], proxyTokenHash: hash('right') })
  assert.match(await readAll(ask(t, world, 'right', plain, close)), /^HTTP\/1\.1 407/)
})

for (const [how, now] of [
  ['taking the token away', null],
  ['another token', hash('new')],
] as const) {
  test(`${how} ends everything the token has open at once, and leaves the sandbox's own`, async (t) => {
    const world = await createWorld(t, {
      handler: (req, res) => {
        res.writeHead(200, { 'Content-Type': 'text/event-stream' })
        res.write('data: x\n\n')
        if (req.url !== '/stream') res.end()
      },
    })
    const rules = [rule('ok.example')]
    await world.allow({ rules, proxyTokenHash: hash('old') })
    const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: ok.example\r\n\r\n`
    const answered = (socket: Socket): Promise<string> => readUntil(socket, (text) => text.includes('data: x'))

    const own = world.dial('http')
    t.after(() => own.destroy())
    own.write(get('/stream'))
    const streaming = ask(t, world, 'old', `${plain}stream`)
    const idle = ask(t, world, 'old', plain)
    const silent = ask(t, world, 'old', tunnel)
    const within = ask(t, world, 'old', 'ok.example:80')
    await Promise.all([answered(own), answered(streaming), answered(idle), headOf(silent), headOf(within)])
    // Plain HTTP in a tunnel: its requests are judged one by one, and between them nothing is under way.
    within.write(get('/'))
    await answered(within)

    const ended = [streaming, idle, silent, within].map((socket) => once(socket.resume(), 'close'))
    await world.allow({ rules, proxyTokenHash: now })
    await Promise.all(ended)
    assert.equal(own.destroyed, false)
    await world.recorded(({ kind, reason }) => kind === 'http' && reason === 'revoked')
    await world.recorded(({ kind, reason }) => kind === 'tunnel' && reason === 'revoked')
    assert.match(await readAll(ask(t, world, 'old', plain, close)), /^HTTP\/1\.1 407/)
    if (now !== null) assert.match(await readAll(ask(t, world, 'new', plain, close)), /^HTTP\/1\.1 200/)
  })
}
