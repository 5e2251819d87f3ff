import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { perl, type Cell, type Outside } from './probe.ts'

/** Puts a file, sockets and a process on this machine, and files and a listener into the neighbour, for the probes to look for. */
export async function layOut(
  prober: Cell,
  neighbour: Cell,
  internals: Outside['internals'],
): Promise<Outside & AsyncDisposable> {
  const word = `probe${randomBytes(6).toString('hex')}`
  const stack = new AsyncDisposableStack()
  try {
    const directory = await mkdtemp(join(tmpdir(), 'slopbox-selftest-'))
    stack.defer(() => rm(directory, { recursive: true, force: true }))
    const [file, socket, abstract] = [join(directory, 'secret'), join(directory, 'socket'), `${word}-abstract`]
    await writeFile(file, word)
    const answering = async (listen: (server: Server) => void): Promise<Server> => {
      const server = createServer((client) => client.on('error', () => client.destroy()).end(word))
      listen(server)
      await once(server, 'listening')
      stack.defer(() => void server.close())
      return server
    }
    await answering((server) => server.listen(socket))
    await answering((server) => server.listen(`\0${abstract}`))
    const listener = await answering((server) => server.listen(0, '0.0.0.0'))
    const child = spawn('perl', ['-e', 'sleep 3600', `${word}-machine`], { stdio: 'ignore' })
    await once(child, 'spawn')
    stack.defer(() => void child.kill('SIGKILL'))
    const port = 7771
    await settleIn(neighbour, word, port, stack)
    const made: Outside = {
      word,
      file,
      socket,
      abstract,
      port: (listener.address() as AddressInfo).port,
      pid: child.pid ?? 0,
      internals,
      hostAddress: (await ends(prober)).host,
      neighbour: { address: (await ends(neighbour)).own, port },
    }
    const kept = stack.move()
    return { ...made, [Symbol.asyncDispose]: () => kept.disposeAsync() }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

/** A process that shows the word, listens and has left a file, for as long as the stack lives. */
async function settleIn(neighbour: Cell, word: string, port: number, stack: AsyncDisposableStack): Promise<void> {
  const leave = new AbortController()
  const script = `open my $file, '>', '/tmp/${word}' or die $!; socket(my $server, 2, 1, 0) or die $!; bind($server, pack('S n x12', 2, ${port})) or die $!;
    listen($server, 8); rename '/tmp/${word}', '/tmp/${word}-ready'; while (accept(my $client, $server)) { syswrite($client, '${word}') }`
  const command = [...perl(script), `${word}-neighbour`]
  const serving = neighbour.run(command, { user: 'root', timeoutMs: 3_600_000, signal: leave.signal })
  let ended = false
  const over = serving.then(
    () => void (ended = true),
    () => void (ended = true),
  )
  stack.defer(async () => {
    leave.abort()
    await over
  })
  const look = perl(`print -e '/tmp/${word}-ready' ? 'yes' : 'no'`)
  for (;;) {
    const { stdout } = await neighbour.run(look, { user: 'root', timeoutMs: 30_000 })
    if (stdout === 'yes') return
    if (ended) throw new Error(`the neighbour cannot listen: ${(await serving).stderr}`)
    await sleep(50)
  }
}

/** Both ends of a sandbox's link, as it is told itself. */
async function ends(cell: Cell): Promise<{ own: string; host: string }> {
  const script = `for ('/etc/hosts', '/etc/resolv.conf') { open my $in, '<', $_ or die "$_: $!"; print <$in> }`
  const { stdout } = await cell.run(perl(script), { user: 'root', timeoutMs: 30_000 })
  const own = /^((?!127\.)\d+\.\d+\.\d+\.\d+) /m.exec(stdout)?.[1]
  const host = /^nameserver (\S+)/m.exec(stdout)?.[1]
  if (own === undefined || host === undefined) throw new Error(`a sandbox does not know its addresses: ${stdout}`)
  return { own, host }
}
