import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { NetworkTable } from '../../../contract/network.ts'
import type { Link, NetworkOptions } from './network.ts'
import { Network } from './network.ts'
import { whyNoOci } from './probe.ts'
import { ociWorld, type OciWorld } from './testing.ts'

const reason = whyNoOci('crun')
const skip = reason === undefined ? {} : { skip: reason }

/** Connects, says a word and prints the answer; SIGALRM ends it when nothing answers. */
const talk = `
  my ($host, $port, $kind) = @ARGV; alarm 2;
  socket(my $s, 2, $kind, 0); connect($s, pack('S n C4 x8', 2, $port, split /[.]/, $host)) or die "$!";
  syswrite($s, "hello"); sysread($s, my $answer, 100); print $answer;`

async function reach(world: OciWorld, id: string, host: string, port: number, kind = 1): Promise<string> {
  const command = ['perl', '-e', talk, host, String(port), String(kind)]
  const execution = await world.driver.exec(id, { command, env: {}, cwd: undefined, user: undefined })
  execution.stderr.resume()
  return text(execution.stdout)
}

/** A server that answers with the two ends of the connection as it sees them. */
async function listening(host = '0.0.0.0'): Promise<Server & { port: number }> {
  const server = createServer((socket: Socket) => {
    socket.on('error', () => socket.destroy())
    socket.end(`${socket.localAddress} ${socket.remoteAddress}`)
  })
  server.listen(0, host)
  await once(server, 'listening')
  return Object.assign(server, { port: (server.address() as AddressInfo).port })
}

async function withEgress(
  body: (world: OciWorld, link: Link, ports: NetworkOptions['ports']) => Promise<void>,
): Promise<void> {
  const servers = [await listening(), await listening(), await listening()]
  const dns = createSocket('udp4', (_message, from) => dns.send(`dns for ${from.address}`, from.port, from.address))
  dns.bind(0)
  await once(dns, 'listening')
  const [http = 0, tls = 0, proxy = 0] = servers.map((server) => server.port)
  const ports = { http, tls, proxy, dns: dns.address().port }
  try {
    await using world = await ociWorld('crun', { ports })
    await world.driver.create('sb1', world.spec({}))
    await world.driver.start('sb1')
    await body(world, new Network(world.options).link(0), ports)
  } finally {
    for (const server of servers) server.close()
    dns.close()
  }
}

test('web, proxy and name traffic of a sandbox reaches egress as its own pair of addresses', skip, async () => {
  await withEgress(async (world, link) => {
    const pair = `${link.hostAddress} ${link.sandboxAddress}`
    assert.equal(await reach(world, 'sb1', '203.0.113.9', 80), pair)
    assert.equal(await reach(world, 'sb1', '203.0.113.9', 443), pair)
    assert.equal(await reach(world, 'sb1', link.hostAddress, 3128), pair)
    assert.equal(await reach(world, 'sb1', '203.0.113.9', 53, 2), `dns for ${link.sandboxAddress}`)
    const table = NetworkTable.parse(JSON.parse(readFileSync(world.options.networkFile, 'utf8')))
    assert.deepEqual(table.links, [{ sandboxId: 'sb1', ...link }])
    await world.driver.stop('sb1')
    assert.deepEqual(JSON.parse(readFileSync(world.options.networkFile, 'utf8')), { links: [] })
  })
})

test('nothing else of the machine or beyond answers a sandbox', skip, async () => {
  const other = await listening()
  try {
    await withEgress(async (world, link, ports) => {
      await world.driver.create('sb2', world.spec({ start: { command: world.echoServer(7777), stopGraceMs: 0 } }))
      await world.driver.start('sb2')
      const neighbour = await world.driver.addresses('sb2')
      const answers = await Promise.all([
        reach(world, 'sb1', link.hostAddress, other.port),
        reach(world, 'sb1', link.hostAddress, ports.http),
        reach(world, 'sb1', '203.0.113.9', 8443),
        reach(world, 'sb1', '203.0.113.9', 3128),
        reach(world, 'sb1', '203.0.113.9', 123, 2),
        reach(world, 'sb1', neighbour?.sandbox ?? '', 7777),
      ])
      assert.deepEqual(answers, ['', '', '', '', '', ''])
    })
  } finally {
    other.close()
  }
})

test('a sandbox that takes another address gets nowhere, and nobody else gets into it', skip, async () => {
  await withEgress(async (world, link) => {
    const pid = readFileSync(`/run/slopbox-${world.options.instance}/pids/sb1`, 'utf8').trim()
    const inside = (...command: string[]): string =>
      execFileSync('nsenter', [`--net=/proc/${pid}/ns/net`, ...command], { encoding: 'utf8' })
    const forged = link.sandboxAddress.replace(/\d+$/, '77')
    inside('ip', 'address', 'add', `${forged}/32`, 'dev', 'eth0')
    inside('ip', 'route', 'replace', 'default', 'via', link.hostAddress, 'src', forged)
    assert.equal(await reach(world, 'sb1', '203.0.113.9', 80), '')
    inside('ip', 'route', 'replace', 'default', 'via', link.hostAddress, 'src', link.sandboxAddress)
    assert.equal(await reach(world, 'sb1', '203.0.113.9', 80), `${link.hostAddress} ${link.sandboxAddress}`)
    // Its packets are dropped, so only the alarm ends it; root is answered by the sandbox itself.
    const connecting = `alarm 1; socket(my $s, 2, 1, 0); connect($s, pack('S n C4 x8', 2, 9, split /[.]/, $ARGV[0]))`
    const asNobody = ['--reuid=65534', '--clear-groups', 'perl', '-e', connecting, link.sandboxAddress]
    assert.equal(spawnSync('setpriv', asNobody).signal, 'SIGALRM')
    const refused = connect({ host: link.sandboxAddress, port: 9 })
    const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException]
    assert.equal(error.code, 'ECONNREFUSED')
  })
})

test('names and addresses of links follow from the slot alone', () => {
  const at = (subnet: string): Network =>
    new Network({ instance: 'ab12', subnet, ports: { http: 1, tls: 2, proxy: 3, dns: 4 }, networkFile: join('/', 'n') })
  assert.deepEqual(at('10.213.0.0/16').link(0), {
    interface: 'sab120000',
    hostAddress: '10.213.0.1',
    sandboxAddress: '10.213.0.2',
  })
  assert.equal(at('10.213.0.0/16').link(16_383).sandboxAddress, '10.213.255.254')
  assert.equal(at('10.213.0.0/16').slots, 16_384)
  assert.equal(at('10.213.7.0/30').slots, 1)
  for (const bad of ['10.213.0.0', '10.213.0/16', '10.213.0.0/31', '10.300.0.0/16'])
    assert.throws(() => at(bad), /subnet|not an IPv4 address/)
})
