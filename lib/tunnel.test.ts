import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer as createTcp } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { duplexPair, type Duplex } from 'node:stream'
import { test } from 'node:test'
import { SlopboxError } from '../contract/errors.ts'
import { maxFrameBytes } from '../contract/tunnel.ts'
import { encodeFrame, readFrames, writeAll, writeFrames } from './frames.ts'
import { openTunnel, serveTunnel, type TunnelHandler } from './tunnel.ts'
import { requestUpgrade } from './upgrade.ts'

const never = new AbortController().signal
const ends = (handler: TunnelHandler) => {
  const [left, right] = duplexPair()
  return { host: serveTunnel(left, handler), gateway: openTunnel(right) }
}

test('the connected side asks and the connecting side answers, both ways at once', async () => {
  const { host, gateway } = ends(async (stream, headers) => {
    stream.respond({ ':status': 200, 'x-path': headers[':path'] })
    stream.pipe(stream)
  })
  await using _host = host
  await using _gateway = gateway
  const stream = await gateway.open({ ':method': 'POST', ':path': '/echo' }, { signal: never })
  stream.end('hello')
  assert.equal(Buffer.concat(await stream.toArray()).toString(), 'hello')
})

test('megabytes in both directions at once over a real socket do not wait for one another', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'slopbox-tunnel-'))
  const path = join(directory, 'socket')
  const server = createTcp()
  server.listen(path)
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const gateway = openTunnel(connect(path))
  const [socket] = await accepted
  const host = serveTunnel(socket, async (stream) => {
    stream.respond({ ':status': 200 })
    stream.pipe(stream)
  })
  const stream = await gateway.open({ ':method': 'POST', ':path': '/echo' }, { signal: never })
  const sent = 32 * 1024 * 1024
  const writing = writeAllOf(stream, sent)
  let received = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) received += chunk.length
  await writing
  assert.equal(received, sent)
  await Promise.all([host[Symbol.asyncDispose](), gateway[Symbol.asyncDispose]()])
  server.close()
  await rm(directory, { recursive: true })
})

async function writeAllOf(to: Duplex, bytes: number): Promise<void> {
  const block = Buffer.alloc(64 * 1024, 1)
  for (let at = 0; at < bytes; at += block.length) await writeAll(to, block)
  to.end()
}

test('an error before the answer arrives as the same error with its hint', async () => {
  const { host, gateway } = ends(async () => {
    throw new SlopboxError('wrong_state', 'sandbox sb1 is stopped', { hint: 'start it' })
  })
  await using _host = host
  await using _gateway = gateway
  await assert.rejects(gateway.open({ ':method': 'POST', ':path': '/x' }, { signal: never }), {
    code: 'wrong_state',
    message: 'sandbox sb1 is stopped',
    hint: 'start it',
  })
})

test('a bug in a handler shows no detail to the other side', async () => {
  const { host, gateway } = ends(async () => {
    throw new Error('the inner detail')
  })
  await using _host = host
  await using _gateway = gateway
  await assert.rejects(gateway.open({ ':method': 'POST', ':path': '/x' }, { signal: never }), (error) => {
    assert.ok(error instanceof SlopboxError)
    assert.equal(error.code, 'internal')
    assert.doesNotMatch(error.message, /inner/)
    return true
  })
})

test('aborting resets the stream at the other end and leaves the tunnel open', async () => {
  const gone = Promise.withResolvers<void>()
  const { host, gateway } = ends(async (stream, headers) => {
    stream.respond({ ':status': 200 })
    if (headers[':path'] === '/held') stream.once('close', () => gone.resolve())
    else stream.end('ok')
  })
  await using _host = host
  await using _gateway = gateway
  const abort = new AbortController()
  await gateway.open({ ':method': 'POST', ':path': '/held' }, { signal: abort.signal })
  abort.abort()
  await gone.promise
  const after = await gateway.open({ ':method': 'POST', ':path': '/again' }, { signal: never })
  assert.equal(Buffer.concat(await after.toArray()).toString(), 'ok')
})

test('a slow reader holds the writer back instead of filling memory', async () => {
  const big = Buffer.alloc(256 * 1024, 7)
  let written = 0
  const { host, gateway } = ends(async (stream) => {
    stream.respond({ ':status': 200 })
    while (written < 400 && !stream.destroyed) {
      const room = stream.write(big)
      written += 1
      if (!room) await Promise.race([once(stream, 'drain'), once(stream, 'close')])
    }
    stream.end()
  })
  await using _host = host
  await using _gateway = gateway
  const stream = await gateway.open({ ':method': 'POST', ':path': '/flood' }, { signal: never })
  await once(stream, 'readable')
  // A round trip on the same connection after which anything that could have been sent has been sent.
  for (let i = 0; i < 3; i++) {
    const again = gateway.open({ ':method': 'GET', ':path': '/flood' }, { signal: AbortSignal.timeout(50) })
    await again.then(
      (other) => other.close(),
      () => {},
    )
  }
  assert.ok(written < 100, `${written} blocks were accepted with nobody reading`)
})

test('an open end learns that the other is gone and says unavailable', async () => {
  const { host, gateway } = ends(async () => {})
  await host[Symbol.asyncDispose]()
  await gateway.closed
  await assert.rejects(gateway.open({ ':method': 'POST', ':path': '/x' }, { signal: never }), { code: 'unavailable' })
})

test('a peer that no longer answers pings ends the tunnel', async () => {
  const [left, right] = duplexPair()
  left.resume()
  const tunnel = openTunnel(right, { pingMs: 20 })
  await tunnel.closed
  assert.ok(right.destroyed)
})

test('frames survive any cut of the byte stream', async () => {
  const frames = [
    encodeFrame(1, Buffer.from('one')),
    encodeFrame(4, Buffer.alloc(0)),
    encodeFrame(2, Buffer.alloc(9_000, 2)),
  ]
  const bytes = Buffer.concat(frames)
  for (const size of [1, 3, 5, 6, 7, 4096, bytes.length]) {
    const [left, right] = duplexPair()
    const send = (async () => {
      for (let at = 0; at < bytes.length; at += size) left.write(bytes.subarray(at, at + size))
      left.end()
    })()
    const seen: [number, number][] = []
    for await (const frame of readFrames(right)) seen.push([frame.channel, frame.payload.length])
    await send
    assert.deepEqual(seen, [
      [1, 3],
      [4, 0],
      [2, 9_000],
    ])
  }
})

test('a payload longer than a frame goes as several, an announced one that is too long is refused', async () => {
  const [left, right] = duplexPair()
  const sent = writeFrames(left, 1, Buffer.alloc(maxFrameBytes + 10)).then(() => left.end())
  const sizes: number[] = []
  for await (const frame of readFrames(right)) sizes.push(frame.payload.length)
  await sent
  assert.deepEqual(sizes, [maxFrameBytes, 10])

  const [bad, reader] = duplexPair()
  bad.write(Buffer.from([1, 0xff, 0, 0, 0, 1]))
  await assert.rejects(readFrames(reader).next(), { code: 'invalid_request' })
})

test('a stream that ends inside a frame is an error, and writing to a closed one is too', async () => {
  const [left, right] = duplexPair()
  left.end(encodeFrame(1, Buffer.from('whole')).subarray(0, 7))
  await assert.rejects(readFrames(right).next(), { code: 'invalid_request' })
  const [dead] = duplexPair()
  dead.destroy()
  await assert.rejects(writeFrames(dead, 1, Buffer.from('x')), { code: 'unavailable' })
})

test('an upgrade gives the raw connection, or the refusal of the server', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'slopbox-upgrade-'))
  const socketPath = join(directory, 's')
  const server = createServer((_request, response) => {
    response.statusCode = 401
    response.end(JSON.stringify(new SlopboxError('unauthenticated', 'who are you').toWire()))
  })
  const sockets = new Set<Duplex>()
  server.on('upgrade', (request, socket) => {
    if (request.headers.authorization !== 'Bearer yes')
      return server.emit('request', request, refusing(request, socket))
    sockets.add(socket)
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: test\r\n\r\nfirst')
    socket.pipe(socket)
    return true
  })
  const refusing = (_request: unknown, socket: Duplex) => ({
    set statusCode(_status: number) {},
    end: (body: string) =>
      socket.end(`HTTP/1.1 401 No\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`),
  })
  server.listen(socketPath)
  await once(server, 'listening')
  const to = { socketPath, path: '/up', protocol: 'test', signal: never }
  const socket = await requestUpgrade({ ...to, headers: { authorization: 'Bearer yes' } })
  const [first] = (await once(socket, 'data')) as [Buffer]
  assert.equal(first.toString(), 'first')
  await assert.rejects(requestUpgrade({ ...to, headers: {} }), { code: 'unauthenticated', message: 'who are you' })
  // The signal is for the attempt alone: a deadline that passes later leaves the connection open.
  const attempt = new AbortController()
  const kept = await requestUpgrade({ ...to, signal: attempt.signal, headers: { authorization: 'Bearer yes' } })
  await once(kept, 'data')
  attempt.abort()
  kept.write('still there')
  assert.equal(String((await once(kept, 'data'))[0]), 'still there')
  kept.destroy()
  socket.destroy()
  server.close()
  await rm(directory, { recursive: true })
  await assert.rejects(requestUpgrade({ ...to, headers: {} }), { code: 'unavailable' })
})
