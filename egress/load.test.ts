import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { createWorld, readAll, readUntil, rule, type World } from './testing.ts'

const get = (host: string, path = '/'): string => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
async function ask(world: World): Promise<string> {
  const socket = world.dial('http')
  socket.write(get('ok.example'))
  return await readAll(socket)
}

test('clients that break off at any moment harm nobody', async (t) => {
  const world = await createWorld(t, { handler: (_req, res) => void res.write('x'.repeat(100_000)) })
  await world.allow({ rules: [rule('ok.example')] })
  for (const listener of ['http', 'tls', 'proxy'] as const)
    for (const bytes of [
      '',
      'G',
      get('ok.example').slice(0, 30),
      get('ok.example'),
      '\x16\x03\x01',
      'CONNECT ok.example:443 HTTP/1.1\r\nHost: ok.example\r\n\r\n',
    ]) {
      const socket = world.dial(listener)
      await once(socket, 'connect')
      socket.write(bytes, 'latin1')
      await new Promise((resolve) => setImmediate(resolve))
      socket.resetAndDestroy()
    }
  const socket = world.dial('http')
  socket.write(get('other.example'))
  assert.match(await readAll(socket), /no_rule/)
  assert.equal(world.logged.filter((line) => line.includes('unexpectedly')).length, 0)
})

test('many requests on one connection, pipelined too, are each decided, answered in order and recorded', async (t) => {
  const warnings: Error[] = []
  const warn = (warning: Error): void => void warnings.push(warning)
  process.on('warning', warn)
  t.after(() => process.off('warning', warn))
  const world = await createWorld(t, { handler: (req, res) => void res.end(`<${req.url}>`) })
  await world.allow({ rules: [rule('ok.example')] })
  const socket = world.dial('http')
  const request = (path: string, host = 'ok.example'): string => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`
  for (let i = 0; i < 30; i++) {
    socket.write(request(`/${i}`))
    await readUntil(socket, (text) => text.includes(`</${i}>`))
  }
  const many = Array.from({ length: 20 }, (_, i) => `/p${i}`)
  socket.write(many.map((path) => request(path)).join('') + request('/d', 'no.example'))
  const answers = await readAll(socket)
  assert.deepEqual(
    answers.match(/<.p\d+>/g),
    many.map((path) => `<${path}>`),
  )
  assert.match(answers, /no_rule/)
  await world.recorded(({ reason }) => reason === 'no_rule')
  await world.recorded(() => world.audit.length === 51)
  assert.deepEqual(warnings, [])
})

test('a large body goes up and down whole, at the pace of the slower side', async (t) => {
  const size = 20_000_000
  const world = await createWorld(t, {
    handler: (req, res) => {
      let got = 0
      req.on('data', (chunk: Buffer) => (got += chunk.length))
      req.on('end', () => {
        res.writeHead(200, { 'Content-Length': size, 'X-Got': got })
        res.end(Buffer.alloc(size, 'd'))
      })
    },
  })
  await world.allow({ rules: [rule('ok.example')] })
  const socket = world.dial('http')
  socket.write(`POST / HTTP/1.1\r\nHost: ok.example\r\nConnection: close\r\nContent-Length: ${size}\r\n\r\n`)
  socket.write(Buffer.alloc(size, 'u'))
  const answer = await readAll(socket)
  assert.match(answer.slice(0, 500), new RegExp(`X-Got: ${size}`))
  assert.ok(answer.endsWith('d'.repeat(100)) && answer.length > size)
  const record = await world.recorded(() => true)
  assert.ok(record.bytesOut > size && record.bytesIn > size)
  assert.equal(await world.metered('egress_out_bytes', record.bytesOut), record.bytesOut)
})

test('a sandbox that starts too much at once is told so, and one that stops may go on', async (t) => {
  const world = await createWorld(t, {
    limits: { flowsPerSandbox: 2 },
    handler: (req, res) => void (req.url === '/hold' ? res.write('held') : res.end('done')),
  })
  await world.allow({ rules: [rule('ok.example')] })
  const open = async (): Promise<Socket> => {
    const socket = world.dial('http')
    socket.write(get('ok.example', '/hold'))
    await readUntil(socket, (text) => text.includes('held'))
    return socket
  }
  const [first] = [await open(), await open()]
  assert.match(await ask(world), /^HTTP\/1\.1 429[\s\S]*X-Slopbox-Deny: rate/i)
  first.destroy()
  await world.recorded(({ detail }) => detail['broken'] === 'client')
  assert.match(await ask(world), /done/)
})
