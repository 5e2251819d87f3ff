import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { createWorld, outside, readAll, readUntil, rule, type World } from './testing.ts'

const get = (host: string, path = '/'): string => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`

/** Opens a tunnel through the explicit proxy; resolves with the answer's head. */
async function tunnel(world: World, target: string): Promise<{ socket: Socket; head: string }> {
  const socket = world.dial('proxy')
  socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`)
  const head = await readUntil(socket, (text) => text.includes('\r\n\r\n'))
  return { socket, head }
}

function handshake(socket: Socket, servername: string | undefined, ca: string | string[]): Promise<TLSSocket> {
  const tls = connectTls({
    socket,
    ca,
    ...(servername === undefined ? {} : { servername }),
    checkServerIdentity: () => undefined,
  })
  return new Promise((resolve, reject) => {
    tls.once('secureConnect', () => resolve(tls)).once('error', reject)
    tls.once('close', () => reject(new Error('closed during the handshake')))
  })
}

/** The ways in; each asks for `/` of a host and returns what came back, or the error's message. */
const ways: Record<string, (world: World, host: string) => Promise<string>> = {
  'transparent http': async (world, host) => {
    const socket = world.dial('http')
    socket.write(get(host))
    return await readAll(socket)
  },
  'transparent tls': async (world, host) => {
    const tls = await handshake(world.dial('tls'), host, [world.rootPem, world.caPem])
    tls.write(get(host))
    return await readAll(tls)
  },
  'connect + tls': async (world, host) => {
    const { socket, head } = await tunnel(world, `${host}:443`)
    if (!head.startsWith('HTTP/1.1 200')) return head
    const tls = await handshake(socket, host, [world.rootPem, world.caPem])
    tls.write(get(host))
    return await readAll(tls)
  },
  'connect + http': async (world, host) => {
    const { socket, head } = await tunnel(world, `${host}:80`)
    if (!head.startsWith('HTTP/1.1 200')) return head
    socket.write(get(host))
    return await readAll(socket)
  },
  'absolute form': async (world, host) => {
    const socket = world.dial('proxy')
    socket.write(`GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    return await readAll(socket)
  },
}

for (const [name, ask] of Object.entries(ways)) {
  test(`${name}: an allowed host answers, is metered and recorded once`, async (t) => {
    const world = await createWorld(t)
    await world.allow({ rules: [rule('ok.example')] })
    assert.match(await ask(world, 'ok.example'), /^HTTP\/1\.1 200[\s\S]*hello from outside/)
    const record = await world.recorded(({ decision }) => decision === 'allow')
    assert.equal(record.host, 'ok.example')
    assert.equal(record.rule, 'er:ok.example:')
    assert.equal(record.sandboxId, world.sandbox.id)
    assert.equal(await world.metered('egress_in_bytes', record.bytesIn), record.bytesIn)
    assert.equal(await world.metered('egress_out_bytes', record.bytesOut), record.bytesOut)
    assert.ok(record.bytesIn > 50 && record.bytesOut > 30)
    assert.equal(world.audit.length, 1)
  })

  test(`${name}: a host that is not allowed is refused with the reason, and nobody is asked for its address`, async (t) => {
    const world = await createWorld(t)
    await world.allow({ rules: [rule('ok.example'), rule('*.sub.example')] })
    for (const host of ['other.example', 'sub.example', 'evil-ok.example']) {
      const answer = await ask(world, host)
      assert.match(answer, /^HTTP\/1\.1 403[\s\S]*X-Slopbox-Deny: no_rule/i)
      if (!name.startsWith('connect')) assert.match(answer, new RegExp(`slopbox allow add ${host} --agent ag`))
      await world.recorded((record) => record.host === host && record.reason === 'no_rule')
    }
    assert.deepEqual(world.resolved, [])
    assert.deepEqual(world.dialled, [])
    assert.equal(world.audit.length, 3)
  })

  test(`${name}: a name that resolves to a reserved address is not dialled, even if it was public before`, async (t) => {
    const world = await createWorld(t)
    await world.allow({ rules: [rule('ok.example')] })
    assert.match(await ask(world, 'ok.example'), /hello/)
    for (const answers of [['10.0.0.7'], [outside, '169.254.169.254'], ['::ffff:127.0.0.1']]) {
      world.names.set('ok.example', answers)
      const refused = await ask(world, 'ok.example')
      assert.match(refused, /X-Slopbox-Deny: address_refused/i)
      assert.doesNotMatch(refused, /10\.0\.0\.7|169\.254|127\.0\.0\.1/)
    }
    assert.equal(world.dialled.length, 1)
  })

  test(`${name}: without a policy, with none for long, or over the budget, nothing passes`, async (t) => {
    const world = await createWorld(t)
    assert.match(await ask(world, 'ok.example'), /X-Slopbox-Deny: no_policy/i)
    await world.allow({ rules: [rule('ok.example')], exhausted: true })
    assert.match(await ask(world, 'ok.example'), /^HTTP\/1\.1 402[\s\S]*X-Slopbox-Deny: budget/i)
    assert.deepEqual(world.dialled, [])
  })
}

test('policies end when control is silent for longer than they are valid', async (t) => {
  const world = await createWorld(t, { validMs: 1_500 })
  await world.allow({ rules: [rule('slow.example')] })
  const { socket } = await tunnel(world, 'slow.example:443')
  const tls = await handshake(socket, 'slow.example', world.rootPem)
  world.control(false)
  await once(tls, 'close')
  const ask = ways['transparent http'] ?? assert.fail()
  assert.match(await ask(world, 'slow.example'), /X-Slopbox-Deny: no_policy/i)
  world.control(true)
  const record = await world.recorded(({ kind }) => kind === 'tunnel')
  assert.equal(record.reason, 'no_policy')
})

test('an unknown sender is turned away without an answer', async (t) => {
  const world = await createWorld(t)
  await world.allow({ rules: [rule('ok.example')] })
  for (const listener of ['http', 'tls', 'proxy'] as const) {
    const socket = world.dial(listener, '127.0.0.9')
    socket.write(get('ok.example'))
    assert.equal(await readAll(socket), '')
  }
  await world.recorded(({ reason, sandboxId }) => reason === 'unidentified' && sandboxId === null)
})

const spellings = ['ok.example', 'OK.EXAMPLE', 'ok.example.', 'ok.example:80', 'Ok.Example.:80']
for (const spelling of spellings)
  test(`Host: ${spelling} is ok.example`, async (t) => {
    const world = await createWorld(t)
    await world.allow({ rules: [rule('ok.example')] })
    const socket = world.dial('http')
    socket.write(get(spelling))
    assert.match(await readAll(socket), /^HTTP\/1\.1 200/)
    assert.deepEqual(world.resolved, ['ok.example'])
  })

test('no spelling of an address, and no trick with a host, gets out', async (t) => {
  const world = await createWorld(t)
  await world.allow({ rules: [rule('ok.example'), rule('*.example')] })
  const tricks = [
    '127.0.0.1',
    '2130706433',
    '0x7f.1',
    '0177.0.0.1',
    '127.1',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '169.254.169.254',
    '0',
    'ok.example:8080',
    'ok.example:0',
    'ok.example:99999',
    'ok%2eexample',
    'ok.example%00.evil',
    'u@ok.example',
    'ok.example@evil.test',
    'ok..example',
    '.ok.example',
    'ok.example..',
    'ok.example/x',
    'ok.example?x',
    'ok.example#x',
    '\uff4f\uff4b.example',
    'ok.example,evil.test',
    'ok.example evil.test',
    '[ok.example]',
    'example',
    '-.example',
    '*.example',
  ]
  for (const host of tricks) {
    const socket = world.dial('http')
    socket.write(Buffer.from(get(host), 'utf8'))
    assert.match(await readAll(socket), /^HTTP\/1\.1 4\d\d[\s\S]*X-Slopbox-Deny/i, host)
    const proxied = world.dial('proxy')
    proxied.write(
      Buffer.from(`CONNECT ${host.includes(':') ? host : `${host}:443`} HTTP/1.1\r\nHost: ok.example\r\n\r\n`, 'utf8'),
    )
    assert.match(await readAll(proxied), /^HTTP\/1\.1 4\d\d/i, `CONNECT ${host}`)
  }
  assert.deepEqual(world.dialled, [])
})

test('requests that two parsers could read differently are refused', async (t) => {
  const world = await createWorld(t)
  await world.allow({ rules: [rule('ok.example')] })
  const head = 'Host: ok.example\r\n'
  const bad = {
    'two hosts': `GET / HTTP/1.1\r\n${head}Host: evil.test\r\n\r\n`,
    'no host': 'GET / HTTP/1.1\r\n\r\n',
    'HTTP/2 in a line': `GET / HTTP/2.0\r\n${head}\r\n`,
    'length and chunks': `POST / HTTP/1.1\r\n${head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    'two lengths': `POST / HTTP/1.1\r\n${head}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde`,
    'gzip and chunked': `POST / HTTP/1.1\r\n${head}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    'underscore framing': `POST / HTTP/1.1\r\n${head}Transfer_Encoding: chunked\r\nContent-Length: 2\r\n\r\nab`,
    'absolute to another': `GET http://evil.test/ HTTP/1.1\r\n${head}\r\n`,
    fragment: `GET /#x HTTP/1.1\r\n${head}\r\n`,
    trace: `TRACE / HTTP/1.1\r\n${head}\r\n`,
    connect: `CONNECT ok.example:443 HTTP/1.1\r\n${head}\r\n`,
    'bare line feed': `GET / HTTP/1.1\nHost: ok.example\n\n`,
    'folded header': `GET / HTTP/1.1\r\n${head}X: a\r\n b\r\n\r\n`,
    'connection names host': `GET / HTTP/1.1\r\n${head}Connection: close, host\r\n\r\n`,
    'not http': '\x00\x01\x02\x03\r\n\r\n',
  }
  for (const [name, bytes] of Object.entries(bad)) {
    const socket = world.dial('http')
    socket.write(bytes, 'latin1')
    assert.match(await readAll(socket), /^HTTP\/1\.1 4\d\d[\s\S]*X-Slopbox-Deny/i, name)
  }
  assert.deepEqual(world.dialled, [])
  await world.recorded(() => world.audit.length >= Object.keys(bad).length)
  assert.equal(world.audit.length, Object.keys(bad).length)
})

test('TLS in a tunnel must name the tunnel’s target', async (t) => {
  const world = await createWorld(t)
  await world.allow({ rules: [rule('a.example'), rule('b.example')] })
  const mismatch = await tunnel(world, 'a.example:443')
  const page = await handshake(mismatch.socket, 'b.example', world.caPem)
  page.write(get('b.example'))
  assert.match(await readAll(page), /X-Slopbox-Deny: sni_mismatch/i)
  const missing = await tunnel(world, 'a.example:443')
  await assert.rejects(handshake(missing.socket, undefined, world.caPem))
  const bare = world.dial('tls')
  await assert.rejects(handshake(bare, undefined, world.caPem))
  await world.recorded(({ reason }) => reason === 'sni_mismatch')
  await world.recorded(({ reason, port }) => reason === 'sni_missing' && port === 443)
  assert.deepEqual(world.dialled, [])
})

test('a tunnel that speaks neither TLS nor HTTP is refused', async (t) => {
  const world = await createWorld(t, { limits: { firstBytesMs: 200 } })
  await world.allow({ rules: [rule('a.example', 22)] })
  const { socket } = await tunnel(world, 'a.example:22')
  socket.write('SSH-2.0-x\r\n')
  assert.equal(await readAll(socket), '')
  const silent = await tunnel(world, 'a.example:22')
  assert.equal(await readAll(silent.socket), '')
  await world.recorded(({ reason }) => reason === 'protocol')
  assert.deepEqual(world.dialled, [])
})

test('taking a rule away closes what it allowed at once, and leaves the rest', async (t) => {
  const world = await createWorld(t, {
    handler: (req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' })
      res.write(`data: ${req.headers.host}\n\n`)
    },
  })
  await world.allow({ rules: [rule('a.example'), rule('b.example')] })
  const open = async (host: string): Promise<TLSSocket> => {
    const { socket } = await tunnel(world, `${host}:443`)
    const tls = await handshake(socket, host, world.rootPem)
    tls.write(get(host))
    await readUntil(tls, (text) => text.includes('data:'))
    return tls
  }
  const [a, b] = [await open('a.example'), await open('b.example')]
  const plain = world.dial('http')
  plain.write(get('a.example'))
  await readUntil(plain, (text) => text.includes('data:'))
  const closed = Promise.all([once(a, 'close'), once(plain, 'close')])
  await world.allow({ rules: [rule('b.example')] })
  await closed
  assert.equal(b.destroyed, false)
  await world.recorded(({ kind, reason }) => kind === 'tunnel' && reason === 'revoked')
  await world.recorded(({ kind, reason }) => kind === 'http' && reason === 'revoked')
  b.destroy()
})
