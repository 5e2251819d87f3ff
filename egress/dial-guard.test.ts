import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { createSecureContext } from 'node:tls'
import { parseAddress, parseRange, type Range } from '../core/address-ranges.ts'
import { parseHost } from '../core/host-name.ts'
import { createDial, DialError, type Resolve } from './dial-guard.ts'

interface Try {
  answers: string[] | Resolve
  host?: string
  allowed?: string[]
  own?: string[]
  allowReserved?: boolean
  tls?: boolean
}

/** Dials through a guard whose connections all end at a listening or a silent port; tells what was dialled or why not. */
async function attempt(
  t: TestContext,
  { answers, host = 'x.example', allowed = [], own = [], allowReserved = false, tls = false }: Try,
) {
  const server = createServer((socket) => socket.on('error', () => {}).resume())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const sockets: Socket[] = []
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const dialled: string[] = []
  const dial = createDial({
    resolve: typeof answers === 'function' ? answers : async () => answers,
    allowed: () => allowed.map((text) => parseRange(text)).filter((range): range is Range => range !== undefined),
    own: () => own.flatMap((text) => parseAddress(text) ?? []),
    context: () => createSecureContext({ ca: [] }),
    connect: (address, port) => {
      dialled.push(`${address}:${port}`)
      const socket = connect({ host: '127.0.0.1', port: port === 9 ? 1 : (server.address() as AddressInfo).port })
      sockets.push(socket)
      return socket
    },
    timeouts: { resolveMs: 50, connectMs: 500, tlsMs: 50 },
  })
  const parsed = parseHost(host)
  assert.ok(parsed.ok)
  const request = {
    host: parsed.host,
    port: host === 'refused.example' ? 9 : 8443,
    tls,
    allowReserved,
    signal: AbortSignal.timeout(5_000),
  }
  const result = await dial(request).then(
    () => 'open',
    (error: unknown) => (error instanceof DialError ? error.reason : String(error)),
  )
  return { result, dialled }
}

const table: [string, Try, string, string[]][] = [
  ['a public address is dialled as it was checked', { answers: ['93.184.216.34'] }, 'open', ['93.184.216.34:8443']],
  ['a private address is not', { answers: ['10.0.0.1'] }, 'address_refused', []],
  [
    'one bad answer among good ones refuses the name',
    { answers: ['93.184.216.34', '127.0.0.1'] },
    'address_refused',
    [],
  ],
  ['a carried private address is not', { answers: ['64:ff9b::a9fe:a9fe'] }, 'address_refused', []],
  ['an answer that is no address is not', { answers: ['fe80::1%eth0'] }, 'address_refused', []],
  [
    "this machine's own public address is not",
    { answers: ['93.184.216.34'], own: ['93.184.216.34'] },
    'address_refused',
    [],
  ],
  [
    "in the operator's range, only what is in it",
    { answers: ['127.0.0.1', '::1'], allowed: ['127.0.0.0/8'] },
    'open',
    ['127.0.0.1:8443'],
  ],
  ['outside his range, nothing', { answers: ['10.9.0.1'], allowed: ['10.8.0.0/16'] }, 'address_refused', []],
  ["a build's registry may be anywhere", { answers: ['10.9.0.1'], allowReserved: true }, 'open', ['10.9.0.1:8443']],
  ['a literal is judged too', { answers: [], host: '127.0.0.1' }, 'address_refused', []],
  ['a literal in a strange spelling is judged too', { answers: [], host: '0x7f.1' }, 'address_refused', []],
  ['no answer is unresolvable', { answers: [] }, 'unresolvable', []],
  [
    'a resolver that fails is unresolvable',
    { answers: async () => Promise.reject(new Error('SERVFAIL')) },
    'unresolvable',
    [],
  ],
  ['a resolver that never answers is unresolvable', { answers: () => new Promise(() => {}) }, 'unresolvable', []],
  [
    'a closed port does not answer',
    { answers: ['93.184.216.34'], host: 'refused.example' },
    'connect_failed',
    ['93.184.216.34:9'],
  ],
  ['IPv4 comes first', { answers: ['2606:4700::1', '93.184.216.34'] }, 'open', ['93.184.216.34:8443']],
  [
    'a peer that speaks no TLS fails in time',
    { answers: ['93.184.216.34'], tls: true },
    'tls_failed',
    ['93.184.216.34:8443'],
  ],
]
for (const [name, attempted, result, dialled] of table)
  test(name, async (t) => assert.deepEqual(await attempt(t, attempted), { result, dialled }))
