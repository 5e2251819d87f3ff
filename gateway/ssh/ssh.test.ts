import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import type { ServerHttp2Stream } from 'node:http2'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import ssh2 from 'ssh2'
import type { ClientChannel } from 'ssh2'
import { SlopboxError } from '../../contract/errors.ts'
import { newId } from '../../contract/ids.ts'
import type { Grant } from '../grants.ts'
import { closedPorts, grantFor, ids, ownerOnly, startWorld } from '../world.fixture.ts'
import type { World } from '../world.fixture.ts'
import { runHere, sshClient } from './client.fixture.ts'
import type { Run, SshClient } from './client.fixture.ts'

let world: World
let owner: SshClient
let inside: string
let lastGrant: Grant

before(async () => {
  owner = await sshClient()
  inside = join(owner.directory, 'inside')
  await mkdir(inside)
  world = await startWorld({ others: { '/exec': (stream: ServerHttp2Stream) => runHere(stream, inside) } })
  world.control.onAuthorize = (question) => {
    const { credentials, target } = question
    if (credentials.sshKey === undefined) return ownerOnly(question)
    const id = target.kind === 'sandbox' ? target.sandboxId : target.agentId
    if (credentials.sshKey !== owner.fingerprint || (id !== ids.sandbox && id !== ids.agent))
      throw new SlopboxError('not_found', 'nothing of this name is open to this key')
    lastGrant = grantFor(question, null)
    return lastGrant
  }
})
after(async () => {
  await world[Symbol.asyncDispose]()
  await owner[Symbol.asyncDispose]()
})

const at = (name: string): string[] => ['-p', String(world.sshPort), `${name}@127.0.0.1`]
const ssh = (command: string, input?: string, name = ids.sandbox): Promise<Run> =>
  owner.run('ssh', [...at(name), command], input)

test('a command gets its input, keeps its two outputs apart, and its exit status becomes that of ssh', async () => {
  const run = await ssh('cat; echo "to $WHO" >&2; exit 3', 'from outside')
  assert.deepEqual(run, { code: 3, stdout: 'from outside', stderr: 'to \n' })
  const withEnv = await owner.run('ssh', ['-o', 'SetEnv=WHO=ada', ...at(ids.sandbox), 'echo $WHO'])
  assert.equal(withEnv.stdout, 'ada\n')
  assert.equal((await ssh('true', '', ids.agent)).code, 0)
})

test('megabytes pass both ways unharmed', async () => {
  const text = Buffer.alloc(5_000_000, 'slopbox ').toString()
  const { code, stdout } = await ssh('cat', text)
  assert.equal(code, 0)
  assert.equal(stdout === text, true)
})

test('a shell without a terminal reads commands from its input', async () => {
  const run = await owner.run('ssh', ['-T', ...at(ids.sandbox)], 'cd /; pwd; exit 4\n')
  assert.deepEqual([run.code, run.stdout], [4, '/\n'])
})

test('a terminal has the size of the client, follows it, and carries signals', async () => {
  const run = await owner.run('ssh', ['-tt', ...at(ids.sandbox), 'echo $SIZE'])
  assert.equal(run.stdout, '80x24\n')
  const client = new ssh2.Client()
  const privateKey = await readFile(join(owner.directory, 'id_ed25519'))
  client.connect({ host: '127.0.0.1', port: world.sshPort, username: ids.sandbox, privateKey })
  await once(client, 'ready')
  const opened = Promise.withResolvers<ClientChannel>()
  client.exec(
    'echo $TERM $SIZE; head -n 1; exec sleep 1000',
    { pty: { rows: 40, cols: 132, term: 'vt100' } },
    (error, made) => (error === undefined ? opened.resolve(made) : opened.reject(error)),
  )
  const channel = await opened.promise
  const lines = createInterface(channel)[Symbol.asyncIterator]()
  assert.equal((await lines.next()).value, 'vt100 132x40')
  channel.setWindow(50, 100, 0, 0)
  assert.equal((await lines.next()).value, '100x50')
  const closed = once(channel, 'exit')
  channel.signal('TERM')
  assert.deepEqual((await closed).slice(0, 2), [null, 'SIGTERM'])
  client.end()
})

test('scp and sftp carry files in and out', async () => {
  const [here, back] = [join(owner.directory, 'here'), join(owner.directory, 'back')]
  await writeFile(here, Buffer.alloc(300_000, 7))
  const remote = `${ids.sandbox}@127.0.0.1:there`
  const port = ['-P', String(world.sshPort)]
  assert.deepEqual(await owner.run('scp', [...port, here, remote]), { code: 0, stdout: '', stderr: '' })
  assert.deepEqual(await owner.run('scp', [...port, remote, back]), { code: 0, stdout: '', stderr: '' })
  assert.equal((await readFile(join(inside, 'there'))).equals(await readFile(back)), true)
  const listing = await owner.run('sftp', ['-b', '-', ...port, `${ids.sandbox}@127.0.0.1`], 'ls\nrm there\nls\n')
  assert.deepEqual([listing.code, listing.stdout.match(/there/g)?.length], [0, 2])
})

/** Forwards a local port with `-L` until disposed. */
async function forwarded(to: string): Promise<{ port: number; end: () => void }> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  await new Promise<void>((resolve) => probe.close(() => resolve()))
  // The command says when the forwarding stands: ssh begins it before.
  const child = owner.start('ssh', [
    '-o',
    'ExitOnForwardFailure=yes',
    '-L',
    `127.0.0.1:${port}:${to}`,
    ...at(ids.sandbox),
    'echo up; cat',
  ])
  assert.ok(child.stdout)
  await once(child.stdout, 'data')
  return { port, end: () => child.stdin?.end() }
}

async function fetchOver(port: number): Promise<string> {
  const socket: Socket = connect(port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  let text = ''
  for await (const chunk of socket.setEncoding('latin1') as AsyncIterable<string>) text += chunk
  return text
}

test("a forwarded port leads to the sandbox's own, by each of its names, and to nothing else", async () => {
  for (const name of ['localhost', '127.0.0.1', ids.sandbox]) {
    const { port, end } = await forwarded(`${name}:8000`)
    assert.match(await fetchOver(port), /from inside$/)
    end()
  }
  const before = world.seen.length
  for (const to of ['example.com:80', '10.0.0.1:8000', '127.0.0.1.evil.example:8000', 'localhost:9']) {
    const { port, end } = await forwarded(to)
    assert.equal(await fetchOver(port).catch(() => ''), '', to)
    end()
  }
  assert.equal(world.seen.length, before)
})

test('a forwarded port leads to a server on loopback alone', async () => {
  // Closed at the sandbox's address; what runs in the "sandbox" finds it on loopback.
  const server = createServer({ allowHalfOpen: true }, (socket) => void socket.pipe(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const inner = (server.address() as AddressInfo).port
  closedPorts.add(String(inner))
  const { port, end } = await forwarded(`localhost:${inner}`)
  const text = Buffer.alloc(3_000_000, 'loopback ').toString()
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.end(text)
  let back = ''
  for await (const chunk of socket.setEncoding('latin1') as AsyncIterable<string>) back += chunk
  assert.equal(back === text, true)
  end()
  server.close()
})

test('a foreign key, a foreign sandbox, a password and a name that is no id are refused alike', async () => {
  await using stranger = await sshClient()
  const tries = [
    stranger.run('ssh', [...at(ids.sandbox), 'true']),
    ssh('true', '', newId('sandbox')),
    ssh('true', '', 'root'),
    owner.run('ssh', ['-o', 'PubkeyAuthentication=no', ...at(ids.sandbox), 'true']),
  ]
  for (const { code, stderr } of await Promise.all(tries)) {
    assert.equal(code, 255)
    assert.match(stderr, /Permission denied \(publickey\)/)
  }
})

test('what cannot be reached now says why once the key is proven', async () => {
  const { onAuthorize } = world.control
  world.control.onAuthorize = () => {
    throw new SlopboxError('wrong_state', 'sandbox is stopped', { hint: 'Start it first.' })
  }
  const run = await ssh('true')
  world.control.onAuthorize = onAuthorize
  assert.equal(run.code, 255)
  assert.match(run.stderr, /slopbox: sandbox is stopped\r?\n {2}Start it first\./)
})

test('when access ends, the connection is cut and the command goes', async () => {
  const child = owner.start('ssh', [...at(ids.sandbox), 'echo $$; exec sleep 1000'])
  assert.ok(child.stdout)
  await once(child.stdout, 'data')
  const { grantId } = lastGrant
  await world.control.until(() => world.control.syncs.at(-1)?.grants.includes(grantId) === true)
  const closed = once(child, 'close') as Promise<[number]>
  world.control.ended.add(grantId)
  world.control.notify()
  assert.equal((await closed)[0], 255)
})

test('bytes are counted to the sandbox', async () => {
  const total = (meter: string): number => {
    const readings = world.control.syncs.flatMap((sync) => sync.readings).filter((each) => each.meter === meter)
    return Math.max(0, ...readings.map((each) => each.total))
  }
  const before = [total('gateway_in_bytes'), total('gateway_out_bytes')]
  await ssh('cat', 'x'.repeat(400_000))
  await world.control.until(
    () =>
      total('gateway_in_bytes') >= (before[0] ?? 0) + 400_000 &&
      total('gateway_out_bytes') >= (before[1] ?? 0) + 400_000,
  )
})

test('the host key stays the same', async () => {
  const kept = await readFile(join(world.dataDir, 'ssh_host_ed25519_key.pub'), 'utf8')
  const scanned = await owner.run('ssh', [...at(ids.sandbox), 'true'])
  assert.equal(scanned.code, 0)
  const known = await readFile(join(owner.directory, 'known_hosts'), 'utf8')
  assert.ok(known.includes(kept.split(' ')[1] ?? '-'))
})
