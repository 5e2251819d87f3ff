import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { ServerHttp2Stream } from 'node:http2'
import { after, before, test } from 'node:test'
import { SlopboxError } from '../contract/errors.ts'
import { newId } from '../contract/ids.ts'
import { channels, ControlFrame } from '../contract/tunnel.ts'
import { encodeFrame, encodeJsonFrame, readFrames } from '../lib/frames.ts'
import type { Frame } from '../lib/frames.ts'
import { ask, grantFor, ids, ownerOnly, startWorld } from './world.fixture.ts'
import type { World } from './world.fixture.ts'

let world: World
/** What the host does with a command, once it has read the start frame. */
let run: (stream: ServerHttp2Stream, start: ControlFrame, frames: AsyncGenerator<Frame>) => Promise<void>
let logs: (stream: ServerHttp2Stream, path: string) => void
const others = {
  '/exec': async (stream: ServerHttp2Stream) => {
    const frames = readFrames(stream)
    const { value } = await frames.next()
    await run(stream, ControlFrame.parse(JSON.parse(value?.payload.toString() ?? '')), frames)
  },
  '/logs': async (stream: ServerHttp2Stream, headers: { ':path'?: string | undefined }) => {
    stream.respond({ ':status': 200 })
    logs(stream, headers[':path'] ?? '')
  },
}
before(async () => void (world = await startWorld({ others })))
after(() => world[Symbol.asyncDispose]())

const path = `/v1/sandboxes/${ids.sandbox}/exec`
const json = { 'content-type': 'application/json', authorization: 'Bearer key-1' }
const exec = (body: unknown, headers: Record<string, string> = json) =>
  ask(world, world.domain, path, { method: 'POST', headers, body: JSON.stringify(body) })
const events = (text: string): unknown[] =>
  [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data ?? '') as unknown)
const exit = (code: number): Buffer =>
  encodeJsonFrame(channels.control, { type: 'exit', code, signal: null, reason: 'exited' })

test('a command streams its output and ends with its exit', async () => {
  let started: ControlFrame | undefined
  let stdin = ''
  run = async (stream, start, frames) => {
    started = start
    stream.respond({ ':status': 200 })
    for await (const { channel, payload } of { [Symbol.asyncIterator]: () => ({ next: () => frames.next() }) }) {
      if (channel === channels.stdinEnd) break
      stdin += payload.toString()
    }
    stream.write(encodeFrame(channels.stdout, Buffer.from('h\u{e9}')))
    stream.write(encodeFrame(channels.stderr, Buffer.from([0xff, 0xfe])))
    stream.end(exit(3))
  }
  const answer = await exec({ command: ['cat'], stdin: 'input', env: { A: '1' } })
  assert.equal(answer.headers['content-type'], 'text/event-stream; charset=utf-8')
  assert.deepEqual(events(answer.text), [
    { type: 'stdout', data: 'h\u{e9}', encoding: 'utf8' },
    { type: 'stderr', data: '//4=', encoding: 'base64' },
    { type: 'exit', code: 3, signal: null, reason: 'exited' },
  ])
  assert.equal(stdin, 'input')
  assert.deepEqual(started, {
    type: 'start',
    sandboxId: ids.sandbox,
    request: { command: ['cat'], env: { A: '1' }, timeoutMs: 60_000 },
    keepStdin: true,
  })
})

test('a character cut in two frames arrives whole', async () => {
  run = async (stream) => {
    stream.respond({ ':status': 200 })
    const bytes = Buffer.from('a\u{1f600}b')
    stream.write(encodeFrame(channels.stdout, bytes.subarray(0, 3)))
    stream.write(encodeFrame(channels.stdout, bytes.subarray(3)))
    stream.write(encodeFrame(channels.stderr, bytes.subarray(1, 3)))
    stream.end(exit(0))
  }
  assert.deepEqual(events((await exec({ command: ['x'] })).text).slice(0, 3), [
    { type: 'stdout', data: 'a', encoding: 'utf8' },
    { type: 'stdout', data: '\u{1f600}b', encoding: 'utf8' },
    { type: 'stderr', data: '8J8=', encoding: 'base64' },
  ])
})

test('a failure before the first byte is an error with its status, a later one is an event', async () => {
  run = async () => {
    throw new SlopboxError('wrong_state', 'sandbox is paused')
  }
  const early = await exec({ command: ['x'] })
  assert.equal(early.status, 409)
  assert.match(early.text, /"wrong_state"/)
  run = async (stream) => {
    stream.respond({ ':status': 200 })
    stream.end(
      encodeJsonFrame(channels.control, { type: 'error', code: 'not_found', message: 'no such program', hint: null }),
    )
  }
  assert.deepEqual(events((await exec({ command: ['x'] })).text), [
    { type: 'error', code: 'not_found', message: 'no such program', hint: null },
  ])
  run = async (stream) => {
    stream.respond({ ':status': 200 })
    stream.end(encodeFrame(channels.stdout, Buffer.from('half')))
  }
  const broken = await exec({ command: ['x'] })
  assert.match(broken.text, /event: error\ndata: .*"unavailable"/)
})

test('bad input names the field, strangers and foreign ids are refused, all before the host hears of it', async () => {
  run = async () => assert.fail('the host was asked')
  const wrong = await exec({ command: [], colour: 1 })
  assert.equal(wrong.status, 400)
  assert.match(wrong.text, /body\.command/)
  assert.equal((await ask(world, world.domain, path, { method: 'POST', headers: json, body: '{' })).status, 400)
  assert.equal((await exec({ command: ['x'] }, { authorization: 'Bearer key-1' })).status, 400)
  assert.equal((await exec({ command: ['x'] }, { ...json, authorization: 'Bearer other' })).status, 401)
  const origin = { 'content-type': 'application/json', cookie: 'app=session-1', origin: 'http://evil.example' }
  assert.equal((await exec({ command: ['x'] }, origin)).status, 403)
  for (const id of [newId('sandbox'), 'nonsense']) {
    const foreign = await ask(world, world.domain, `/v1/sandboxes/${id}/exec`, {
      method: 'POST',
      headers: json,
      body: '{"command":["x"]}',
    })
    assert.equal(foreign.status, 404)
  }
})

/** Begins a command that does not end by itself; resolves when its first output is here. */
async function begin(): Promise<{ response: IncomingMessage; closed: Promise<unknown>; leave: () => void }> {
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  run = async (stream) => {
    stream.once('close', resolve)
    stream.respond({ ':status': 200 })
    stream.write(encodeFrame(channels.stdout, Buffer.from('.')))
  }
  const call = request({
    port: world.port,
    host: '127.0.0.1',
    path,
    method: 'POST',
    headers: { ...json, host: world.domain },
    agent: false,
  })
  call.on('error', () => {})
  call.end('{"command":["sleep"]}')
  const [response] = (await once(call, 'response')) as [IncomingMessage]
  response.on('error', () => {})
  await once(response, 'data')
  return { response, closed, leave: () => call.destroy() }
}

test('when the client goes, the command goes', async () => {
  const { closed, leave } = await begin()
  leave()
  await closed
})

test('when access ends, the command is cut and the client is told', async () => {
  let grantId = ''
  world.control.onAuthorize = (question) => {
    const grant = grantFor(question)
    grantId = grant.grantId
    return grant
  }
  const { response, closed } = await begin()
  world.control.onAuthorize = ownerOnly
  let text = ''
  response.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const ended = once(response, 'end')
  await world.control.until(() => world.control.syncs.at(-1)?.grants.includes(grantId) === true)
  world.control.ended.add(grantId)
  world.control.notify()
  await closed
  await ended
  assert.match(text, /event: error\ndata: .*access to this sandbox ended/)
})

test('logs arrive line by line with what was asked for', async () => {
  let asked = ''
  const line = { at: '2026-01-02T03:04:05.000Z', stream: 'stdout', text: 'hello' }
  logs = (stream, from) => {
    asked = from
    const text = JSON.stringify(line)
    stream.write(text.slice(0, 10))
    stream.end(`${text.slice(10)}\n${text}\n`)
  }
  const sandbox = await ask(world, world.domain, `/v1/sandboxes/${ids.sandbox}/logs?tail=5&follow=true`, {
    headers: json,
  })
  assert.deepEqual(events(sandbox.text), [line, line])
  assert.equal(asked, '/logs?tail=5&follow=1')
  const agent = await ask(world, world.domain, `/v1/agents/${ids.agent}/logs`, { headers: json })
  assert.deepEqual(events(agent.text), [line, line])
  assert.equal(asked, '/logs?tail=200&follow=0')
  const wrong = await ask(world, world.domain, `/v1/agents/${ids.agent}/logs?tail=-1`, { headers: json })
  assert.equal(wrong.status, 400)
})

test('a sandbox whose host has no tunnel answers unavailable', async () => {
  world.control.onAuthorize = (question) => ({ ...grantFor(question), hostId: newId('host') })
  const answer = await exec({ command: ['x'] })
  world.control.onAuthorize = ownerOnly
  assert.equal(answer.status, 503)
  assert.match(answer.text, /no tunnel/)
})
