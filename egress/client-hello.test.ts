import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { test } from 'node:test'
import { connect } from 'node:tls'
import { maxHelloBytes, parseClientHello } from './client-hello.ts'

const u16 = (n: number): Buffer => Buffer.from([n >> 8, n & 255])
const sized = (size: 1 | 2 | 3, ...parts: Buffer[]): Buffer => {
  const body = Buffer.concat(parts)
  const length = Buffer.alloc(size)
  length.writeUIntBE(body.length, 0, size)
  return Buffer.concat([length, body])
}
const extension = (type: number, body: Buffer): Buffer => Buffer.concat([u16(type), sized(2, body)])
const serverName = (...names: string[]): Buffer =>
  extension(0, sized(2, ...names.map((name) => Buffer.concat([Buffer.from([0]), sized(2, Buffer.from(name))]))))

function handshake(...extensions: Buffer[]): Buffer {
  const body = Buffer.concat([
    u16(0x0303),
    Buffer.alloc(32, 7),
    sized(1, Buffer.alloc(32)),
    sized(2, u16(0x1301)),
    sized(1, Buffer.from([0])),
    sized(2, ...extensions),
  ])
  return Buffer.concat([Buffer.from([1]), sized(3, body)])
}
const record = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from([0x16, 3, 1]), sized(2, bytes)])

test('a real handshake names its host', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = connect({ port, host: '127.0.0.1', servername: 'a.example', ALPNProtocols: ['h2'] })
  client.on('error', () => {})
  const [peer] = (await once(server, 'connection')) as [Socket]
  const [bytes] = (await once(peer, 'data')) as [Buffer]
  assert.deepEqual(parseClientHello(bytes), { kind: 'hello', sni: 'a.example' })
  peer.destroy()
  client.destroy()
})

test('records may be split anywhere and bytes may come one by one', () => {
  const hello = handshake(extension(16, Buffer.alloc(700)), serverName('b.example'), extension(43, Buffer.alloc(3)))
  for (const size of [1, 3, 4, 5, 100, 700]) {
    const parts: Buffer[] = []
    for (let at = 0; at < hello.length; at += size) parts.push(record(hello.subarray(at, at + size)))
    const wire = Buffer.concat(parts)
    assert.deepEqual(parseClientHello(wire), { kind: 'hello', sni: 'b.example' })
    for (let length = 0; length < wire.length; length += 7)
      assert.deepEqual(parseClientHello(wire.subarray(0, length)), { kind: 'more' }, `${size} ${length}`)
  }
})

test('a handshake without a name says so', () => {
  assert.deepEqual(parseClientHello(record(handshake(extension(43, Buffer.alloc(3))))), { kind: 'hello', sni: null })
})

const broken: Record<string, Buffer> = {
  'two names': record(handshake(serverName('a.example', 'b.example'))),
  'two name extensions': record(handshake(serverName('a.example'), serverName('b.example'))),
  'an unknown kind of name': record(
    handshake(extension(0, sized(2, Buffer.concat([Buffer.from([1]), sized(2, Buffer.from('a'))])))),
  ),
  'an extension that is too long': record(handshake(Buffer.concat([u16(5), u16(900), Buffer.alloc(4)]))),
  'an empty list': record(handshake(extension(0, sized(2)))),
  'another message': record(Buffer.concat([Buffer.from([2]), sized(3, Buffer.alloc(40))])),
  'another record': Buffer.from([0x17, 3, 3, 0, 1, 0]),
  'another version': Buffer.from([0x16, 2, 0, 0, 1, 0]),
  'an empty record': Buffer.from([0x16, 3, 1, 0, 0]),
  'a hello without end': record(Buffer.concat([Buffer.from([1]), Buffer.from([0, 0xff, 0xff])])),
}
for (const [name, bytes] of Object.entries(broken))
  test(`${name} is refused`, () => assert.equal(parseClientHello(bytes).kind, 'bad'))

test('no handshake may be larger than the limit, however small its records', () => {
  const tiny = record(Buffer.from([1]))
  const flood = Buffer.concat(Array.from({ length: Math.ceil(maxHelloBytes / tiny.length) + 2 }, () => tiny))
  assert.equal(parseClientHello(flood).kind, 'bad')
})
