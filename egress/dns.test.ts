import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { decode, encode, streamDecode, streamEncode, type DecodedPacket, type Packet, type Question } from 'dns-packet'
import { answerDns } from './dns-answer.ts'
import { createWorld, rule, type World } from './testing.ts'

const question = (name: string, type: string): Packet => ({
  type: 'query',
  id: 4711,
  flags: 0x100,
  questions: [{ name, type: type as Question['type'] }],
})
async function udp(world: World, packet: Buffer, from = world.sandbox.address): Promise<DecodedPacket | null> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.bind({ address: from }, resolve))
  socket.send(packet, world.egress.ports.dns, '127.0.0.1')
  // An unknown sender gets nothing; a known one asks right after and its answer shows that the first is not coming.
  const [reply] = (await once(socket, 'message')) as [Buffer]
  socket.close()
  return decode(reply)
}
const code = (reply: Packet | null): number => (reply?.flags ?? 0) & 15

test('an allowed name has the synthetic address, every other name does not exist, and nobody outside is asked', async (t) => {
  const world = await createWorld(t)
  const alias = { name: 'model.slopbox.internal', target: 'http://x', secretId: null, modelApi: null }
  await world.allow({ rules: [rule('ok.example', 8443), rule('*.sub.example')], aliases: [alias] })
  for (const name of ['ok.example', 'OK.Example', 'a.b.sub.example', 'model.slopbox.internal']) {
    const reply = await udp(world, encode(question(name, 'A')))
    assert.equal(code(reply), 0)
    assert.equal(reply?.id, 4711)
    assert.deepEqual(
      reply?.answers?.map((answer) => 'data' in answer && answer.data),
      ['198.18.0.1'],
      name,
    )
  }
  for (const name of [
    'secret-data.evil.example',
    'sub.example',
    'other.slopbox.internal',
    'ok.example.evil.test',
    '1.0.0.127.in-addr.arpa',
    'localhost',
  ])
    for (const type of ['A', 'AAAA', 'TXT', 'PTR', 'UNKNOWN_65']) {
      const reply = await udp(world, encode(question(name, type)))
      assert.equal(code(reply), 3, `${name} ${type}`)
      assert.equal(reply?.answers?.length, 0)
    }
  assert.deepEqual(world.resolved, [])
  const record = await world.recorded(({ host }) => host === 'secret-data.evil.example')
  assert.deepEqual([record.kind, record.decision, record.reason], ['dns', 'deny', 'no_rule'])
  assert.equal(
    world.audit.filter(({ host }) => host === 'secret-data.evil.example').length,
    1,
    'the same name is recorded once',
  )
})

test('for an allowed name, addresses of other families and service hints are empty and other types are not served', async (t) => {
  const world = await createWorld(t)
  await world.allow({ rules: [rule('ok.example')] })
  for (const type of ['AAAA', 'UNKNOWN_65', 'UNKNOWN_64']) {
    const reply = await udp(world, encode(question('ok.example', type)))
    assert.deepEqual([code(reply), reply?.answers?.length], [0, 0], type)
  }
  for (const type of ['TXT', 'MX', 'NS', 'ANY', 'CNAME', 'NULL'])
    assert.equal(code(await udp(world, encode(question('ok.example', type)))), 4, type)
})

test('the same answers come over TCP, several on one connection', async (t) => {
  const world = await createWorld(t)
  await world.allow({ rules: [rule('ok.example')] })
  const socket = connect({ port: world.egress.ports.dns, host: '127.0.0.1', localAddress: world.sandbox.address })
  const both = Buffer.concat([streamEncode(question('ok.example', 'A')), streamEncode(question('no.example', 'A'))])
  socket.write(both.subarray(0, 5))
  socket.end(both.subarray(5))
  const chunks: Buffer[] = []
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  const second = 2 + bytes.readUInt16BE(0)
  assert.equal(code(streamDecode(bytes)), 0)
  assert.equal(code(streamDecode(bytes.subarray(second))), 3)
})

test('an unknown sender gets no answer', async (t) => {
  const world = await createWorld(t)
  const stranger = createSocket('udp4')
  t.after(() => stranger.close())
  stranger.on('message', () => assert.fail('answered a stranger'))
  await new Promise<void>((resolve) => stranger.bind({ address: '127.0.0.9' }, resolve))
  await new Promise((resolve) =>
    stranger.send(encode(question('ok.example', 'A')), world.egress.ports.dns, '127.0.0.1', resolve),
  )
  // Packets of one socket are read in order: once this is answered, the stranger's was already dropped.
  assert.equal(code(await udp(world, encode(question('ok.example', 'A')))), 3)
})

test('what is not one ordinary question gets an error or silence, never an address', () => {
  const policy = { rules: [rule('ok.example')], aliases: [] } as unknown as Parameters<typeof answerDns>[1]
  const good = encode(question('ok.example', 'A'))
  const reply = (packet: Buffer): number | null => {
    const answer = answerDns(packet, policy).reply
    if (answer === null) return null
    assert.equal(answer.readUInt16BE(6), 0, 'no answers')
    return answer.readUInt16BE(2) & 15
  }
  const changed = (at: number, value: number): Buffer => {
    const copy = Buffer.from(good)
    copy.writeUInt16BE(value, at)
    return copy
  }
  assert.equal(reply(Buffer.alloc(0)), null)
  assert.equal(reply(Buffer.alloc(11)), null)
  assert.equal(reply(changed(2, 0x8100)), null, 'a response')
  assert.equal(reply(changed(2, 0x2900)), 4, 'another opcode')
  assert.equal(reply(changed(4, 0)), 1, 'no question')
  assert.equal(
    reply(
      encode({
        ...question('ok.example', 'A'),
        questions: [
          { name: 'ok.example', type: 'A' },
          { name: 'ok.example', type: 'A' },
        ],
      }),
    ),
    1,
  )
  assert.equal(
    reply(encode({ ...question('ok.example', 'A'), questions: [{ name: 'ok.example', type: 'A', class: 'CH' }] })),
    5,
  )
  assert.equal(reply(good.subarray(0, good.length - 3)), 1, 'cut off')
  assert.equal(reply(Buffer.concat([good, Buffer.alloc(2000)])), null, 'too large')
  for (let i = 0; i < 500; i++) {
    const noise = Buffer.from(good)
    noise[12 + (i % (good.length - 12))] = (i * 37) & 255
    answerDns(noise, policy)
  }
})
