import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { ServerHttp2Stream } from 'node:http2'
import { after, before, test } from 'node:test'
import { SlopboxError } from '../contract/errors.ts'
import { newId } from '../contract/ids.ts'
import { channels, FileCall } from '../contract/tunnel.ts'
import { encodeJsonFrame, readFrames } from '../lib/frames.ts'
import type { Frame } from '../lib/frames.ts'
import { ask, ids, startWorld } from './world.fixture.ts'
import type { World } from './world.fixture.ts'

let world: World
let answer: (stream: ServerHttp2Stream, call: FileCall, frames: AsyncGenerator<Frame>) => Promise<void> | void
const others = {
  '/files': async (stream: ServerHttp2Stream) => {
    const frames = readFrames(stream)
    const { value } = await frames.next()
    await answer(stream, FileCall.parse(JSON.parse(value?.payload.toString() ?? '')), frames)
  },
}
before(async () => void (world = await startWorld({ others })))
after(() => world[Symbol.asyncDispose]())

const path = `/v1/sandboxes/${ids.sandbox}/files`
const headers = { authorization: 'Bearer key-1' }
const info = {
  path: '/a b',
  type: 'file',
  mode: '644',
  uid: 1,
  gid: 1,
  size: 3,
  modifiedAt: '2026-01-02T03:04:05.000Z',
  target: null,
}
const sized = (size: number, content: string): Buffer => {
  const head = Buffer.alloc(8)
  head.writeBigUInt64BE(BigInt(size))
  return Buffer.concat([head, Buffer.from(content)])
}

test('a file is read as bytes that no browser shows as a page of ours', async () => {
  let seen: FileCall | undefined
  answer = (stream, call) => {
    seen = call
    stream.respond({ ':status': 200 })
    const bytes = sized(5, 'hello')
    stream.write(bytes.subarray(0, 3))
    stream.end(bytes.subarray(3))
  }
  const given = await ask(world, world.domain, `${path}?path=%2Fa%20b&user=root`, { headers })
  assert.equal(given.text, 'hello')
  assert.equal(given.headers['content-length'], '5')
  assert.equal(given.headers['content-disposition'], 'attachment')
  assert.equal(given.headers['x-content-type-options'], 'nosniff')
  assert.deepEqual(seen, { op: 'read', sandboxId: ids.sandbox, path: '/a b', user: 'root' })
})

test('a file that ends short breaks the connection instead of looking whole', async () => {
  answer = (stream) => {
    stream.respond({ ':status': 200 })
    stream.end(sized(5, 'hel'))
  }
  await assert.rejects(ask(world, world.domain, `${path}?path=/x`, { headers }), /aborted|hang up/)
})

test('content is passed on as it comes and the outcome is the answer', async () => {
  let content = ''
  let seen: FileCall | undefined
  answer = async (stream, call, frames) => {
    seen = call
    stream.respond({ ':status': 200 })
    for await (const { channel, payload } of frames) {
      if (channel === channels.stdinEnd) break
      content += payload.toString()
    }
    stream.end(encodeJsonFrame(channels.control, info))
  }
  const given = await ask(world, world.domain, `${path}?path=/x&mode=600&append=true`, {
    method: 'PUT',
    headers,
    body: 'abc',
  })
  assert.deepEqual(JSON.parse(given.text), info)
  assert.equal(content, 'abc')
  assert.deepEqual(seen, { op: 'write', sandboxId: ids.sandbox, path: '/x', mode: '600', append: true })
})

test('a full disk is told while content is still coming', async () => {
  answer = (stream) => {
    stream.respond({ ':status': 200 })
    stream.end(encodeJsonFrame(channels.control, new SlopboxError('no_capacity', 'x: No space left').toWire()))
  }
  const call = request({
    port: world.port,
    host: '127.0.0.1',
    method: 'PUT',
    path: `${path}?path=/x`,
    agent: false,
    headers: { ...headers, host: world.domain },
  })
  call.on('error', () => {})
  call.write('never the end')
  const [response] = (await once(call, 'response')) as [IncomingMessage]
  assert.equal(response.statusCode, 503)
  response.resume()
  call.destroy()
})

test('the other operations are one call each', async () => {
  let seen: unknown
  answer = (stream, call) => {
    const { sandboxId: _, ...rest } = call
    seen = rest
    stream.respond({ ':status': 200 })
    stream.end(JSON.stringify(call.op === 'list' ? { items: [info], truncated: false } : { ...info, ok: true }))
  }
  const json = { ...headers, 'content-type': 'application/json' }
  const cases: [method: string, at: string, body: object | undefined, call: object][] = [
    ['GET', `${path}/stat?path=/x`, undefined, { op: 'stat', path: '/x' }],
    ['GET', `${path}/list?path=/x&depth=3`, undefined, { op: 'list', path: '/x', depth: 3 }],
    ['POST', `${path}/mkdir`, { path: '/x', mode: '700' }, { op: 'mkdir', path: '/x', mode: '700' }],
    ['POST', `${path}/move`, { from: '/x', to: '/y' }, { op: 'move', from: '/x', to: '/y' }],
    ['POST', `${path}/chmod`, { path: '/x', mode: '700' }, { op: 'chmod', path: '/x', mode: '700' }],
    ['POST', `${path}/chown`, { path: '/x', uid: 1, gid: 2 }, { op: 'chown', path: '/x', uid: 1, gid: 2 }],
    ['DELETE', `${path}?path=/x&recursive=true`, undefined, { op: 'remove', path: '/x', recursive: true }],
  ]
  for (const [method, at, body, call] of cases) {
    const more = body === undefined ? {} : { body: JSON.stringify(body) }
    const given = await ask(world, world.domain, at, { method, headers: json, ...more })
    assert.equal(given.status, 200, given.text)
    assert.deepEqual(seen, call)
  }
})

test('bad paths, strangers and foreign ids never reach the host; its errors keep their status', async () => {
  answer = () => assert.fail('the host was asked')
  for (const query of ['', '?path=relative', '?path=/x%00y', '?path=/x&colour=1'])
    assert.equal((await ask(world, world.domain, path + query, { headers })).status, 400)
  const stranger = { authorization: 'Bearer other' }
  assert.equal((await ask(world, world.domain, `${path}?path=/x`, { headers: stranger })).status, 401)
  const foreign = `/v1/sandboxes/${newId('sandbox')}/files?path=/x`
  assert.equal((await ask(world, world.domain, foreign, { headers })).status, 404)
  answer = (stream) => {
    stream.respond({ ':status': 409 })
    stream.end(JSON.stringify(new SlopboxError('conflict', '/x: Is a directory').toWire()))
  }
  const given = await ask(world, world.domain, `${path}?path=/x`, { headers })
  assert.equal(given.status, 409)
  assert.match(given.text, /Is a directory/)
})
