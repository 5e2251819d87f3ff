import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { hostname } from 'node:os'
import { once } from 'node:events'
import { test } from 'node:test'
import { OpsError } from '../say.ts'
import { readUpSettings } from './settings.ts'
import { apiUrl, domainWithPort, proxyUrl, publicUrl, settleInstallation, sshCommand } from './where.ts'

const now = new Date('2026-11-21T00:00:00Z')
const said: string[] = []
const settle = (args: string[], before: Parameters<typeof settleInstallation>[0] = null) =>
  settleInstallation(before, readUpSettings(['--listen', '127.0.0.1', ...args], {}), now, (line) => said.push(line))

async function taken(): Promise<{ port: number } & AsyncDisposable> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return {
    port: address.port,
    async [Symbol.asyncDispose]() {
      server.close()
      await once(server, 'close')
    },
  }
}

test('any free port: the first start picks one, later starts keep it', async () => {
  const first = await settle(['--port', '0'])
  assert.ok(first.port > 0)
  const sshPort = Number(first.sshListen?.split(':')[1])
  assert.equal(new Set([first.port, sshPort, ...Object.values(first.egressPorts)]).size, 6)
  assert.deepEqual(await settle(['--port', '0'], first), first)
  assert.deepEqual(await settle([], first), first)
})

test('a port asked for that is taken is an error that names the holder', async () => {
  await using server = await taken()
  await assert.rejects(settle(['--port', String(server.port)]), (error) => {
    assert.ok(error instanceof OpsError)
    assert.match(error.message, new RegExp(`^port ${server.port} is taken( by .+ \\(pid \\d+\\))?$`))
    return true
  })
})

test('the usual port that is taken meanwhile is replaced, and that is told', async () => {
  const first = await settle(['--port', '0'])
  await using server = await taken()
  const second = await settle([], { ...first, port: server.port })
  assert.notEqual(second.port, server.port)
  assert.match(said.at(-1) ?? '', new RegExp(`port ${server.port} is taken.*using ${second.port} from now on`))
})

test('an internal port that is taken meanwhile is replaced without a word', async () => {
  const first = await settle(['--port', '0'])
  await using server = await taken()
  const second = await settle([], { ...first, egressPorts: { ...first.egressPorts, tls: server.port } })
  assert.notEqual(second.egressPorts.tls, server.port)
  assert.equal(second.egressPorts.http, first.egressPorts.http)
})

test('addresses carry the port where a browser needs it', async () => {
  const first = { ...(await settle(['--port', '0', '--domain', 'box.example'])), port: 8480 }
  assert.equal(publicUrl(first), 'http://box.example:8480')
  assert.equal(domainWithPort({ ...first, port: 80 }), 'box.example')
  assert.equal(publicUrl({ ...first, port: 443 }), 'https://box.example')
  assert.equal(apiUrl(first), 'http://127.0.0.1:8480')
  assert.equal(apiUrl({ ...first, listen: ['::1'] }), 'http://[::1]:8480')
  assert.equal(apiUrl({ ...first, listen: ['0.0.0.0'] }), 'http://127.0.0.1:8480')
})

test('the proxy for machines elsewhere is off, kept once asked for, and turned off again', async () => {
  const first = await settle(['--port', '0'])
  assert.equal(first.egressListen, null)
  assert.equal(proxyUrl(first, { egressUrl: null }), null)
  let at = ''
  {
    await using server = await taken()
    at = `127.0.0.1:${server.port}`
    const hint = (error: unknown): boolean => error instanceof OpsError && /--egress-listen off/.test(error.hint ?? '')
    await assert.rejects(settle(['--egress-listen', at], first), hint)
    await assert.rejects(settle([], { ...first, egressListen: at }), hint)
    await assert.rejects(settle(['--egress-listen', '192.0.2.1:3129'], first), /192\.0\.2\.1 is not an address of/)
    await assert.rejects(settle(['--egress-listen', `127.0.0.1:${first.port}`], first), /the console's own/)
  }
  const on = await settle(['--egress-listen', at], first)
  assert.equal(on.egressListen, at)
  assert.deepEqual(await settle([], on), on)
  assert.equal((await settle(['--egress-listen', 'off'], on)).egressListen, null)
  const port = Number(at.split(':')[1])
  const moved = await settle([], { ...on, egressPorts: { ...on.egressPorts, dns: port } })
  assert.notEqual(moved.egressPorts.dns, port)
})

test('the proxy goes by its address, or by the best name when it listens on all of them', async () => {
  const first = await settle(['--port', '0'])
  const at = (egressListen: string, domain = first.domain): string | null =>
    proxyUrl({ ...first, egressListen, domain }, { egressUrl: null })
  assert.equal(at('10.0.0.5:3129'), 'http://10.0.0.5:3129')
  assert.equal(at('[2001:db8::1]:3129'), 'http://[2001:db8::1]:3129')
  assert.equal(at('0.0.0.0:3129', 'box.example'), 'http://box.example:3129')
  assert.equal(at('[::]:3129'), `http://${hostname()}:3129`)
  const egressUrl = 'http://proxy.example:80'
  assert.equal(proxyUrl({ ...first, egressListen: '10.0.0.5:3129' }, { egressUrl }), egressUrl)
})

test('SSH keeps its address, moves to a free port when that is taken, and stays off once it is', async () => {
  const first = await settle(['--port', '0'])
  assert.match(first.sshListen ?? '', /^127\.0\.0\.1:\d+$/)
  await using server = await taken()
  const moved = await settle([], { ...first, sshListen: `127.0.0.1:${server.port}` })
  assert.notEqual(moved.sshListen, `127.0.0.1:${server.port}`)
  assert.match(said.at(-1) ?? '', /SSH listens on 127\.0\.0\.1:\d+ from now on/)
  assert.equal(sshCommand(moved), `ssh -p ${moved.sshListen?.split(':')[1]} NAME@slopbox.localhost`)
  await assert.rejects(
    settle(['--ssh-listen', `127.0.0.1:${server.port}`], first),
    /cannot listen on .* for --ssh-listen/,
  )
  await assert.rejects(settle(['--ssh-listen', `127.0.0.1:${first.port}`], first), OpsError)
  const off = await settle(['--ssh-listen', 'off'], first)
  assert.equal(off.sshListen, 'off')
  assert.equal((await settle([], off)).sshListen, 'off')
  assert.equal(sshCommand(off), null)
})
