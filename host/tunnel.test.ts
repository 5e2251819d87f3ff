import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ClientHttp2Stream } from 'node:http2'
import { createServer, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { duplexPair, type Duplex } from 'node:stream'
import { test } from 'node:test'
import type { ExecRequest } from '../contract/sandboxes.ts'
import { channels, ControlFrame, tunnelProtocol } from '../contract/tunnel.ts'
import { encodeFrame, encodeJsonFrame, readFrames } from '../lib/frames.ts'
import { silentLog } from '../lib/log.ts'
import { openTunnel, serveTunnel, type Tunnel } from '../lib/tunnel.ts'
import { Commands } from './commands.ts'
import { mapDriver, temporary, wanted, type MapDriver, type PlayedExec } from './testing.ts'
import { keepTunnel, serveStreams, type StreamDeps } from './tunnel.ts'

const never = new AbortController().signal

const streamDeps = ({ driver }: MapDriver): StreamDeps => ({
  driver,
  commands: new Commands({ driver, log: silentLog }),
  log: silentLog,
})

async function world(): Promise<{ map: MapDriver; tunnel: Tunnel } & AsyncDisposable> {
  const map = mapDriver()
  const spec = {
    ...wanted().spec,
    template: { key: 'k', layers: [], env: {}, user: 'u', cwd: '/' },
    power: 'none',
  } as const
  for (const id of ['sbrun', 'sbstop', 'bdbuild']) await map.driver.create(id, spec)
  for (const id of ['sbrun', 'bdbuild']) await map.driver.start(id)
  const [left, right] = duplexPair()
  const host = serveTunnel(left, serveStreams(streamDeps(map)))
  const tunnel = openTunnel(right)
  return {
    map,
    tunnel,
    async [Symbol.asyncDispose]() {
      await tunnel[Symbol.asyncDispose]()
      await host[Symbol.asyncDispose]()
    },
  }
}

const startFrame = (change: Partial<ExecRequest> = {}, sandboxId = 'sbrun', keepStdin = true): Buffer =>
  encodeJsonFrame(channels.control, {
    type: 'start',
    sandboxId,
    request: { command: ['run'], env: {}, timeoutMs: 60_000, ...change },
    keepStdin,
  })

const exec = (tunnel: Tunnel, preface: Buffer, signal = never): Promise<ClientHttp2Stream> =>
  tunnel.open({ ':method': 'POST', ':path': '/exec' }, { signal, preface })

/** All of a command's answer: text per channel and the last control frame. */
async function collect(
  stream: ClientHttp2Stream,
): Promise<{ out: string; err: string; last: ControlFrame | undefined }> {
  const seen = { out: '', err: '', last: undefined as ControlFrame | undefined }
  for await (const { channel, payload } of readFrames(stream)) {
    if (channel === channels.stdout) seen.out += payload.toString()
    else if (channel === channels.stderr) seen.err += payload.toString()
    else seen.last = ControlFrame.parse(JSON.parse(payload.toString()))
  }
  return seen
}

function playing(map: MapDriver): Promise<PlayedExec> {
  return new Promise((resolve) => {
    map.handlers.exec = resolve
  })
}

test('a command gets its input and gives its output and its end', async () => {
  await using w = await world()
  const played = playing(w.map)
  const stream = await exec(w.tunnel, startFrame({ env: { A: '1' }, cwd: '/tmp', user: 'root' }))
  const command = await played
  assert.deepEqual(command.request, { command: ['run'], env: { A: '1' }, cwd: '/tmp', user: 'root' })
  stream.write(encodeFrame(channels.stdin, Buffer.from('question')))
  stream.write(encodeFrame(channels.stdinEnd, Buffer.alloc(0)))
  assert.equal(Buffer.concat(await command.stdin.toArray()).toString(), 'question')
  command.stdout.write('answer')
  command.stderr.write('aside')
  command.end(3)
  const { out, err, last } = await collect(stream)
  assert.deepEqual([out, err], ['answer', 'aside'])
  assert.deepEqual(last, { type: 'exit', code: 3, signal: null, reason: 'exited' })
})

test('a command without input sees its end at once', async () => {
  await using w = await world()
  const played = playing(w.map)
  const stream = await exec(w.tunnel, startFrame({}, 'sbrun', false))
  const command = await played
  assert.deepEqual(await command.stdin.toArray(), [])
  command.end(0)
  assert.equal((await collect(stream)).last?.type, 'exit')
})

test('signals arrive, and one that does not exist ends the command', async () => {
  await using w = await world()
  for (const [signal, expected] of [
    ['SIGINT', ['SIGINT']],
    ['SIGNONSENSE', ['SIGKILL']],
  ] as const) {
    const played = playing(w.map)
    const stream = await exec(w.tunnel, startFrame())
    const command = await played
    stream.write(encodeJsonFrame(channels.control, { type: 'signal', signal }))
    while (command.signals.length === 0) await new Promise(setImmediate)
    command.end(null, signal)
    await collect(stream)
    assert.deepEqual(command.signals, expected)
  }
})

test('a command that takes too long is killed and says so', async () => {
  await using w = await world()
  w.map.handlers.exec = () => {}
  const { last } = await collect(await exec(w.tunnel, startFrame({ timeoutMs: 1 })))
  assert.deepEqual(last, { type: 'exit', code: null, signal: 'SIGKILL', reason: 'timeout' })
})

test('a caller that goes away takes its command with it', async () => {
  await using w = await world()
  const played = playing(w.map)
  const abort = new AbortController()
  await exec(w.tunnel, startFrame(), abort.signal)
  const command = await played
  abort.abort()
  while (command.signals.length === 0) await new Promise(setImmediate)
  assert.deepEqual(command.signals, ['SIGKILL'])
})

test('nobody reading holds the command back', async () => {
  await using w = await world()
  let written = 0
  let blocked = false
  w.map.handlers.exec = (played) => {
    const fill = (): void => {
      while (written < 400) {
        written += 1
        if (!played.stdout.write(Buffer.alloc(64 * 1024))) {
          blocked = true
          played.stdout.once('drain', fill)
          return
        }
      }
      played.end(0)
    }
    fill()
  }
  const stream = await exec(w.tunnel, startFrame())
  for (let still = 0, before = -1; still < 20; still = written === before ? still + 1 : 0) {
    before = written
    await new Promise(setImmediate)
  }
  assert.ok(blocked && written < 200, `${written} blocks were taken with nobody reading`)
  assert.equal((await collect(stream)).out.length, 400 * 64 * 1024)
})

const refused: [string, Buffer, object][] = [
  ['an unknown sandbox', startFrame({}, 'sbnone'), { code: 'not_found' }],
  ["a build's sandbox", startFrame({}, 'bdbuild'), { code: 'not_found' }],
  ['a stopped sandbox', startFrame({}, 'sbstop'), { code: 'wrong_state', message: 'sandbox sbstop is stopped' }],
  ['a first frame that is no start', encodeFrame(channels.stdin, Buffer.from('x')), { code: 'invalid_request' }],
  ['a control frame that is no JSON', encodeFrame(channels.control, Buffer.from('{')), { code: 'invalid_request' }],
]
for (const [name, preface, error] of refused)
  test(`exec refuses ${name} before it answers`, async () => {
    await using w = await world()
    await assert.rejects(exec(w.tunnel, preface), error)
  })

const dial = (tunnel: Tunnel, sandbox: string, port: string): Promise<ClientHttp2Stream> =>
  tunnel.open(
    { ':method': 'POST', ':path': '/dial', 'x-slopbox-sandbox': sandbox, 'x-slopbox-port': port },
    { signal: never },
  )

test('dial gives raw bytes both ways, and each direction ends by itself', async () => {
  await using w = await world()
  const inner = Promise.withResolvers<Duplex>()
  w.map.handlers.dial = async () => {
    const [inside, outside] = duplexPair()
    inner.resolve(inside)
    return outside
  }
  const stream = await dial(w.tunnel, 'sbrun', '80')
  const inside = await inner.promise
  stream.end('all I have')
  assert.equal((await readAll(inside)).toString(), 'all I have')
  inside.end('an answer after that')
  assert.equal((await readAll(stream)).toString(), 'an answer after that')
})

async function readAll(from: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = []
  from.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(from, 'end')
  return Buffer.concat(chunks)
}

test('dial cuts both ends when either breaks', async () => {
  await using w = await world()
  for (const breaks of ['inside', 'caller'] as const) {
    const inner = Promise.withResolvers<Duplex>()
    w.map.handlers.dial = async () => {
      const [inside, outside] = duplexPair()
      inside.on('error', () => {})
      outside.once('close', () => inside.destroy())
      inside.once('close', () => outside.destroy(new Error('reset')))
      inner.resolve(inside)
      return outside
    }
    const stream = await dial(w.tunnel, 'sbrun', '80')
    const inside = await inner.promise
    const [first, second] = breaks === 'inside' ? [inside, stream] : [stream, inside]
    const closed = new Promise<void>((resolve) => second.once('close', () => resolve()))
    first.destroy()
    await closed
  }
})

const badDials: [string, string, string, object][] = [
  ['a closed port', 'sbrun', '81', { code: 'upstream_failed' }],
  ['a port that is none', 'sbrun', '70000', { code: 'invalid_request' }],
  ['an id that is none', '../x', '80', { code: 'invalid_request' }],
  ['an unknown sandbox', 'sbnone', '80', { code: 'not_found' }],
  ['a stopped sandbox', 'sbstop', '80', { code: 'wrong_state' }],
]
for (const [name, sandbox, port, error] of badDials)
  test(`dial refuses ${name}`, async () => {
    await using w = await world()
    await assert.rejects(dial(w.tunnel, sandbox, port), error)
  })

test('logs are JSON lines, of a stopped sandbox too', async () => {
  await using w = await world()
  w.map.handlers.logs = [{ at: new Date(0).toISOString(), stream: 'stdout', text: 'hello' }]
  const stream = await w.tunnel.open(
    { ':method': 'GET', ':path': '/logs?tail=5&follow=0', 'x-slopbox-sandbox': 'sbstop' },
    { signal: never },
  )
  assert.deepEqual(JSON.parse((await readAll(stream)).toString()), w.map.handlers.logs[0])
})

test('any other stream is not found', async () => {
  await using w = await world()
  await assert.rejects(w.tunnel.open({ ':method': 'GET', ':path': '/exec' }, { signal: never }), { code: 'not_found' })
})

test('the tunnel is opened with id and credential, and again after the gateway was away', async () => {
  using directory = temporary()
  const socketPath = join(directory.path, 's')
  const serve = async () => {
    const opened = Promise.withResolvers<{ request: IncomingMessage; tunnel: Tunnel }>()
    const server = createServer()
    server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${tunnelProtocol}\r\n\r\n`)
      opened.resolve({ request, tunnel: openTunnel(socket) })
    })
    server.listen(socketPath)
    await once(server, 'listening')
    return { opened: opened.promise, server }
  }
  const map = mapDriver()
  await using _kept = keepTunnel({
    socketPath,
    token: 'host-credential',
    hostId: async () => 'ho1',
    handler: serveStreams(streamDeps(map)),
    log: silentLog,
    random: () => 0,
  })
  for (let round = 0; round < 2; round++) {
    const { opened, server } = await serve()
    const { request, tunnel } = await opened
    assert.equal(request.headers.authorization, 'Bearer host-credential')
    assert.equal(request.headers['x-slopbox-host'], 'ho1')
    assert.equal(request.headers.upgrade, tunnelProtocol)
    await assert.rejects(dial(tunnel, 'sbnone', '80'), { code: 'not_found' })
    server.close()
    await tunnel[Symbol.asyncDispose]()
  }
})
