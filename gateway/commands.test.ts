import assert from 'node:assert/strict'
import type { ServerHttp2Stream } from 'node:http2'
import { after, before, test } from 'node:test'
import { SlopboxError } from '../contract/errors.ts'
import { newId } from '../contract/ids.ts'
import { channels, CommandCall } from '../contract/tunnel.ts'
import { encodeFrame, encodeJsonFrame, readFrames } from '../lib/frames.ts'
import { ask, ids, startWorld } from './world.fixture.ts'
import type { World } from './world.fixture.ts'

let world: World
let answer: (stream: ServerHttp2Stream, call: CommandCall) => void
const others = {
  '/commands': async (stream: ServerHttp2Stream) => {
    const { value } = await readFrames(stream).next()
    const call = CommandCall.parse(JSON.parse(value?.payload.toString() ?? ''))
    answer(stream, call)
  },
}
before(async () => void (world = await startWorld({ others })))
after(() => world[Symbol.asyncDispose]())

const path = `/v1/sandboxes/${ids.sandbox}/commands`
const headers = { 'content-type': 'application/json', authorization: 'Bearer key-1' }
const id = newId('command')
const command = {
  id,
  sandboxId: ids.sandbox,
  command: ['x'],
  state: 'running',
  startedAt: '2026-01-02T03:04:05.000Z',
  endedAt: null,
  exit: null,
  outputBytes: 0,
  droppedBytes: 0,
}
const json = (stream: ServerHttp2Stream, value: unknown): void => {
  stream.respond({ ':status': 200 })
  stream.end(JSON.stringify(value))
}

const calls: [name: string, method: string, path: string, body: object | undefined, call: object, reply: object][] = [
  [
    'start',
    'POST',
    path,
    { command: ['x'] },
    { op: 'start', request: { command: ['x'], env: {}, keepStdin: false, timeoutMs: null } },
    command,
  ],
  ['list', 'GET', path, undefined, { op: 'list' }, { items: [command] }],
  ['get', 'GET', `${path}/${id}?waitMs=5`, undefined, { op: 'get', commandId: id, waitMs: 5 }, command],
  [
    'input',
    'POST',
    `${path}/${id}/input`,
    { data: '\u{e9}', end: true },
    { op: 'input', commandId: id, data: 'w6k=', end: true },
    { ok: true },
  ],
  [
    'signal',
    'POST',
    `${path}/${id}/signal`,
    { signal: 'SIGINT' },
    { op: 'signal', commandId: id, signal: 'SIGINT' },
    { ok: true },
  ],
  ['kill', 'DELETE', `${path}/${id}`, undefined, { op: 'kill', commandId: id }, command],
]
for (const [name, method, at, body, expected, reply] of calls)
  test(`${name} is one call of the host and gives its answer`, async () => {
    let seen: CommandCall | undefined
    answer = (stream, call) => {
      seen = call
      json(stream, reply)
    }
    const given = await ask(world, world.domain, at, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    assert.deepEqual(JSON.parse(given.text), reply)
    assert.equal(given.status, name === 'start' ? 201 : 200)
    assert.deepEqual(seen, { ...expected, sandboxId: ids.sandbox })
  })

test('output carries the position behind each event, counting what was dropped', async () => {
  answer = (stream) => {
    stream.respond({ ':status': 200 })
    stream.write(encodeJsonFrame(channels.control, { type: 'dropped', bytes: 5 }))
    stream.write(encodeFrame(channels.stdout, Buffer.from('h\u{e9}')))
    stream.write(encodeFrame(channels.stderr, Buffer.from([0xff])))
    stream.end(encodeJsonFrame(channels.control, { type: 'exit', code: 0, signal: null, reason: 'exited' }))
  }
  const { text } = await ask(world, world.domain, `${path}/${id}/output?from=10`, { headers })
  assert.deepEqual(
    [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data ?? '') as unknown),
    [
      { type: 'dropped', bytes: 5, position: 15 },
      { type: 'stdout', data: 'h\u{e9}', encoding: 'utf8', position: 18 },
      { type: 'stderr', data: '/w==', encoding: 'base64', position: 19 },
      { type: 'exit', code: 0, signal: null, reason: 'exited' },
    ],
  )
})

test("the host's errors keep their status; bad input, strangers and foreign ids never reach it", async () => {
  answer = () => assert.fail('the host was asked')
  const post = (at: string, body: string, more = headers) =>
    ask(world, world.domain, at, { method: 'POST', headers: more, body })
  assert.equal((await post(path, '{"command":[]}')).status, 400)
  assert.match((await post(`${path}/${id}/signal`, '{"signal":"9"}')).text, /body\.signal/)
  assert.equal((await post(path, '{"command":["x"]}', { ...headers, authorization: 'Bearer other' })).status, 401)
  assert.equal((await post(`/v1/sandboxes/${newId('sandbox')}/commands`, '{"command":["x"]}')).status, 404)
  assert.equal((await ask(world, world.domain, `${path}/nonsense`, { headers })).status, 404)
  answer = (stream) => {
    const { status, ...error } = { status: 429, ...new SlopboxError('rate_limited', 'too many').toWire() }
    stream.respond({ ':status': status })
    stream.end(JSON.stringify(error))
  }
  assert.equal((await post(path, '{"command":["x"]}')).status, 429)
})
