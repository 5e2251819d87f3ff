import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import { newId } from '../contract/ids.ts'
import { syncHost } from '../contract/sync.ts'
import type { z } from 'zod'
import { silentLog } from '../lib/log.ts'
import { openTunnel, type Tunnel } from '../lib/tunnel.ts'
import { HostConfig } from './config.ts'
import { startHost } from './main.ts'
import type { HostReply } from './sync.ts'
import { mapDriver, temporary, wanted, type MapDriver } from './testing.ts'
import { readConfig } from '../lib/config.ts'

type Body = z.output<typeof syncHost.body>

/** Control and gateway in one: holds requests like the real one, and takes the tunnel. */
async function outside(socketPath: string) {
  let desired: HostReply = { hash: '0', hostId: newId('host'), sandboxes: [], templates: [] }
  let latest: Body | undefined
  const held = new Set<{ body: Body; response: ServerResponse }>()
  const readings = new Map<string, number>()
  const watchers = new Set<() => void>()
  const tunnels: Tunnel[] = []
  const tunnelOpened = Promise.withResolvers<{ tunnel: Tunnel; request: IncomingMessage }>()
  const release = (): void => {
    for (const one of held) {
      if (one.body.hash === desired.hash) continue
      held.delete(one)
      one.response.end(JSON.stringify(desired))
    }
  }
  const server = createServer((request, response) => {
    void request.toArray().then((chunks) => {
      const body = syncHost.body.parse(JSON.parse(Buffer.concat(chunks as Buffer[]).toString()))
      latest = body
      for (const one of body.readings) readings.set(`${one.sandboxId} ${one.meter} ${one.epoch}`, one.total)
      held.add({ body, response })
      for (const wake of watchers) wake()
      release()
    })
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: slopbox-tunnel\r\n\r\n')
    const tunnel = openTunnel(socket)
    tunnels.push(tunnel)
    tunnelOpened.resolve({ tunnel, request })
  })
  server.listen(socketPath)
  await once(server, 'listening')
  return {
    readings,
    tunnel: tunnelOpened.promise,
    hostId: desired.hostId,
    want(...sandboxes: HostReply['sandboxes']): void {
      desired = { ...desired, hash: String(Number(desired.hash) + 1), sandboxes }
      release()
    },
    /** Resolves with the first report for which `until` holds. */
    report(until: (body: Body) => boolean): Promise<Body> {
      return new Promise((resolve) => {
        const look = (): void => {
          if (latest === undefined || !until(latest)) return
          watchers.delete(look)
          resolve(latest)
        }
        watchers.add(look)
        look()
      })
    },
    async [Symbol.asyncDispose]() {
      for (const tunnel of tunnels) await tunnel[Symbol.asyncDispose]()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function startOn(directory: string, map: MapDriver) {
  const template = join(directory, 'data/templates/base-1')
  mkdirSync(join(template, 'base'), { recursive: true })
  const meta = { key: 'base-1', name: 'base', parent: null, layers: ['base'], env: {}, user: 'user', cwd: '/' }
  writeFileSync(
    join(template, 'meta.json'),
    JSON.stringify({ ...meta, sizeBytes: 1, builtAt: new Date(0).toISOString() }),
  )
  const socketPath = join(directory, 's')
  return startHost({
    driver: map.driver,
    dataDirectory: join(directory, 'data'),
    registries: async () => ({ hosts: ['a.test'], codename: 'bookworm', apt: [], npmrc: '' }),
    control: { socketPath, token: 'to-control' },
    gateway: { socketPath, token: 'to-gateway' },
    name: 'machine',
    version: '1.2.3',
    log: silentLog,
    random: () => 0,
  })
}
const stateOf = (body: Body, id: string) => body.sandboxes.find((one) => one.id === id)?.state

test('from a wish to a running sandbox, its streams, its usage and its end', async () => {
  using directory = temporary()
  await using around = await outside(join(directory.path, 's'))
  const map = mapDriver()
  const host = await startOn(directory.path, map)
  const hello = await around.report(() => true)
  assert.deepEqual(
    [hello.name, hello.version, hello.registries, hello.drivers[0]?.name],
    ['machine', '1.2.3', ['a.test'], 'map'],
  )
  assert.ok(hello.capacity.cpus >= 1 && hello.capacity.memoryMiB > 0)
  around.want()
  const { tunnel, request } = await around.tunnel
  assert.deepEqual(
    [request.headers['x-slopbox-host'], request.headers.authorization],
    [around.hostId, 'Bearer to-gateway'],
  )

  const want = wanted()
  around.want(want)
  await around.report((body) => stateOf(body, want.id) === 'running')
  map.handlers.logs = [{ at: new Date(0).toISOString(), stream: 'stdout', text: 'up' }]
  const logs = await tunnel.open(
    { ':method': 'GET', ':path': '/logs', 'x-slopbox-sandbox': want.id },
    { signal: new AbortController().signal },
  )
  assert.match(Buffer.concat(await logs.toArray()).toString(), /"up"/)

  Object.assign(map.get(want.id), { cpuMs: 1234 })
  around.want({ ...want, state: 'stopped' })
  await around.report((body) => stateOf(body, want.id) === 'stopped')
  await around.report(() => [...around.readings.values()].includes(1234))
  around.want({ ...want, state: 'destroyed' })
  await around.report((body) => stateOf(body, want.id) === 'destroyed')
  assert.equal(map.world.size, 0)
  around.want()
  await around.report((body) => body.sandboxes.length === 0)
  await host[Symbol.asyncDispose]()
})

test('a stopped host leaves its sandboxes running, and the next one finds them', async () => {
  using directory = temporary()
  const map = mapDriver()
  const want = wanted()
  await using around = await outside(join(directory.path, 's'))
  const first = await startOn(directory.path, map)
  around.want(want)
  await around.report((body) => stateOf(body, want.id) === 'running')
  await first[Symbol.asyncDispose]()
  assert.equal(map.get(want.id).observed.state, 'running')
  const calls = map.calls.length
  const second = await startOn(directory.path, map)
  around.want(want)
  await around.report((body) => stateOf(body, want.id) === 'running')
  assert.equal(map.calls.length, calls)
  await second[Symbol.asyncDispose]()
})

const good = {
  SLOPBOX_CREDENTIALS: '/c',
  SLOPBOX_CONTROL_SOCKET: '/s',
  SLOPBOX_GATEWAY_SOCKET: '/g',
  SLOPBOX_HOST_DATA: '/d',
  SLOPBOX_NETWORK_FILE: '/n',
  SLOPBOX_EGRESS_CA_FILE: '/ca',
  SLOPBOX_EGRESS_HTTP_PORT: '1',
  SLOPBOX_EGRESS_TLS_PORT: '2',
  SLOPBOX_EGRESS_PROXY_PORT: '3',
  SLOPBOX_EGRESS_DNS_PORT: '4',
  SLOPBOX_INSTANCE: '00ff',
  SLOPBOX_SUBNET: '10.213.0.0/16',
}
test('the environment is read with its defaults', () => {
  const config = readConfig(HostConfig, good)
  assert.deepEqual([config.SLOPBOX_DRIVER, config.SLOPBOX_OCI_RUNTIME, config.SLOPBOX_READY_FD], ['oci', 'crun', null])
})
const bad: [string, Record<string, string>][] = [
  ['SLOPBOX_DRVIER', { SLOPBOX_DRVIER: 'oci' }],
  ['SLOPBOX_DRIVER', { SLOPBOX_DRIVER: 'docker' }],
  ['SLOPBOX_INSTANCE', { SLOPBOX_INSTANCE: 'FF' }],
  ['SLOPBOX_SUBNET', { SLOPBOX_SUBNET: '10.213.1.0/16' }],
  ['SLOPBOX_SUBNET', { SLOPBOX_SUBNET: '8.8.0.0/16' }],
  ['SLOPBOX_SUBNET', { SLOPBOX_SUBNET: '10.999.0.0/16' }],
  ['SLOPBOX_EGRESS_DNS_PORT', { SLOPBOX_EGRESS_DNS_PORT: '70000' }],
  ['SLOPBOX_HOST_DATA', { SLOPBOX_HOST_DATA: 'relative' }],
]
for (const [name, change] of bad)
  test(`${JSON.stringify(change)} stops the start and is named`, () => {
    assert.throws(() => readConfig(HostConfig, { ...good, ...change }), new RegExp(name))
  })
