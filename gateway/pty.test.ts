import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerHttp2Stream } from 'node:http2'
import { after, before, test } from 'node:test'
import { WebSocket } from 'ws'
import { SlopboxError } from '../contract/errors.ts'
import { newId } from '../contract/ids.ts'
import { channels, ControlFrame } from '../contract/tunnel.ts'
import { encodeFrame, encodeJsonFrame, readFrames } from '../lib/frames.ts'
import type { Frame } from '../lib/frames.ts'
import { ids, startWorld } from './world.fixture.ts'
import type { World } from './world.fixture.ts'

let world: World
let run: (stream: ServerHttp2Stream, start: ControlFrame, frames: AsyncGenerator<Frame>) => Promise<void>
const others = {
  '/exec': async (stream: ServerHttp2Stream) => {
    const frames = readFrames(stream)
    const { value } = await frames.next()
    await run(stream, ControlFrame.parse(JSON.parse(value?.payload.toString() ?? '')), frames)
  },
}
before(async () => void (world = await startWorld({ others })))
after(() => world[Symbol.asyncDispose]())

const key = { authorization: 'Bearer key-1' }
const connect = (headers: Record<string, string> = key, sandbox = ids.sandbox): WebSocket =>
  new WebSocket(`ws://127.0.0.1:${world.port}/v1/sandboxes/${sandbox}/pty`, {
    headers: { ...headers, host: world.domain },
  })

/** Sends messages once it is open; gives everything that came until it closed. */
async function talk(socket: WebSocket, ...messages: (object | Buffer)[]): Promise<(object | string)[]> {
  const seen: (object | string)[] = []
  socket.on('message', (data: Buffer, binary) =>
    seen.push(binary ? data.toString() : (JSON.parse(data.toString()) as object)),
  )
  await once(socket, 'open')
  for (const message of messages) socket.send(Buffer.isBuffer(message) ? message : JSON.stringify(message))
  await once(socket, 'close')
  return seen
}
const start = { type: 'start', cols: 90, rows: 30, command: ['top'] }
const exit = { type: 'exit', code: 4, signal: null, reason: 'exited' }

test('bytes, sizes and signals go in, bytes and the exit come out', async () => {
  let started: ControlFrame | undefined
  const got: unknown[] = []
  run = async (stream, first, frames) => {
    started = first
    stream.respond({ ':status': 200 })
    stream.write(encodeFrame(channels.stdout, Buffer.from('$ ')))
    while (got.length < 3) {
      const { value } = await frames.next()
      const text = value?.payload.toString() ?? ''
      got.push(value?.channel === channels.control ? (JSON.parse(text) as object) : text)
    }
    stream.end(encodeJsonFrame(channels.control, exit))
  }
  const resize = { type: 'resize', cols: 100, rows: 40 }
  const signal = { type: 'signal', signal: 'SIGHUP' }
  const seen = await talk(connect(), start, Buffer.from('ls\r'), resize, signal)
  assert.deepEqual(seen, [{ type: 'ready' }, '$ ', exit])
  assert.deepEqual(got, ['ls\r', resize, signal])
  assert.deepEqual(started, {
    type: 'start',
    sandboxId: ids.sandbox,
    request: { command: ['top'], env: {}, timeoutMs: 86_400_000 },
    keepStdin: true,
    terminal: { cols: 90, rows: 30 },
  })
})

test('a client that leaves takes its command with it', async () => {
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  run = async (stream) => {
    stream.once('close', resolve)
    stream.respond({ ':status': 200 })
  }
  const socket = connect()
  await once(socket, 'open')
  socket.send(JSON.stringify(start))
  await once(socket, 'message')
  socket.terminate()
  await closed
})

test("the host's refusal arrives as an error message", async () => {
  run = async () => {
    throw new SlopboxError('wrong_state', 'sandbox is paused', { hint: null })
  }
  assert.deepEqual(await talk(connect(), start), [
    { type: 'error', code: 'wrong_state', message: 'sandbox is paused', hint: null },
  ])
})

for (const [name, message] of [
  ['bytes', Buffer.from('x')],
  ['no size', { type: 'start', command: ['top'] }],
  ['a resize', { type: 'resize', cols: 1, rows: 1 }],
] as const)
  test(`a first message that is ${name} is refused before the host hears of it`, async () => {
    run = async () => assert.fail('the host was asked')
    const [error] = await talk(connect(), message)
    assert.equal((error as { code: string }).code, 'invalid_request')
  })

const cookie = 'app=session-1'
for (const [name, headers, sandbox, status] of [
  ['a stranger', { authorization: 'Bearer other' }, ids.sandbox, 401],
  ['a foreign sandbox', key, newId('sandbox'), 404],
  ['a cookie without an origin', { cookie }, ids.sandbox, 403],
  ['a cookie from another origin', { cookie, origin: 'http://evil.example' }, ids.sandbox, 403],
] as const)
  test(`${name} gets status ${status} and no WebSocket`, async () => {
    const [error] = (await once(connect(headers, sandbox), 'error')) as [Error]
    assert.match(error.message, new RegExp(`${status}`))
  })

test("the API's own page opens a terminal with its session", async () => {
  run = async (stream) => {
    stream.respond({ ':status': 200 })
    stream.end(encodeJsonFrame(channels.control, exit))
  }
  const seen = await talk(connect({ cookie, origin: `http://${world.domain}` }), start)
  assert.deepEqual(seen, [{ type: 'ready' }, exit])
})
