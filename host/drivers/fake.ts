import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { duplexPair, PassThrough, Writable, type Duplex } from 'node:stream'
import type { Server } from 'node:net'
import { createServer } from 'node:http'
import { SlopboxError } from '../../contract/errors.ts'
import type { LogLine } from '../../contract/sandboxes.ts'
import { pause } from '../../lib/loop.ts'
import type { Driver, DriverExec, DriverFile, DriverSpec, DriverUsage, Execution, Observed } from '../driver.ts'
import { FakeOutOfMemory, runCommand, type FakeProcess } from './fake-shell.ts'
import { specHash } from './spec-hash.ts'

type Verb = 'create' | 'start' | 'stop' | 'destroy' | 'exec' | 'dial'

interface FakeSandbox {
  spec: DriverSpec
  specHash: string
  slot: number
  disk: Map<string, string>
  files: Map<string, string>
  logs: LogLine[]
  ports: Map<number, Server>
  state: Observed['state']
  exit: Observed['exit']
  startedAt: string | null
  epoch: string
  cpuMs: number
  /** Ends everything that runs in it; the reason is the signal's name. */
  life: AbortController
}

/** What exists without a driver object, as a kernel and a disk do: a second driver on the same world takes over. */
export class FakeWorld {
  readonly sandboxes = new Map<string, FakeSandbox>()
  readonly volumes = new Map<string, Map<string, string>>()
  slots = 0
}

/**
 * A driver whose sandboxes are objects of this process: for tests and demonstrations. A template key `fake/<verb>-fails`,
 * or that word in the variable `FAKE_FAILS` of the spec's environment, makes the verb fail. Commands are the built-ins of
 * `fake-shell.ts`; port 80 of a running sandbox answers HTTP by itself.
 */
export function fakeDriver(world = new FakeWorld()): Driver {
  const get = (id: string): FakeSandbox => {
    const found = world.sandboxes.get(id)
    if (found === undefined) throw new SlopboxError('not_found', `no sandbox ${id} on this host`)
    return found
  }
  const running = (id: string, verb: string): FakeSandbox => {
    const sandbox = get(id)
    if (sandbox.state !== 'running')
      throw new SlopboxError('wrong_state', `cannot ${verb} in sandbox ${id}: it is ${sandbox.state}`)
    return sandbox
  }
  return {
    name: 'fake',
    isolations: ['container'],
    bringsRoots: true,
    async create(id, spec) {
      if (world.sandboxes.has(id)) return
      failIfTold(spec, 'create', id)
      for (const { id: volume } of spec.volumes) if (!world.volumes.has(volume)) world.volumes.set(volume, new Map())
      const sandbox = newSandbox(spec, world.slots++)
      setFiles(sandbox, spec.files)
      world.sandboxes.set(id, sandbox)
    },
    async start(id) {
      const sandbox = get(id)
      if (sandbox.state !== 'stopped') return
      failIfTold(sandbox.spec, 'start', id)
      begin(world, id, sandbox)
    },
    async stop(id) {
      const sandbox = get(id)
      failIfTold(sandbox.spec, 'stop', id)
      end(sandbox, null)
    },
    async destroy(id, volumes) {
      const sandbox = world.sandboxes.get(id)
      if (sandbox !== undefined) {
        failIfTold(sandbox.spec, 'destroy', id)
        end(sandbox, null)
        world.sandboxes.delete(id)
      }
      for (const volume of volumes) world.volumes.delete(volume)
    },
    async list() {
      return new Map([...world.sandboxes].map(([id, sandbox]) => [id, observe(sandbox)]))
    },
    async usage(id): Promise<DriverUsage> {
      const { epoch, cpuMs, state } = get(id)
      return { epoch, cpuMs, memoryBytes: state === 'stopped' ? 0 : 16 * 1024 * 1024 }
    },
    async pause(id) {
      const sandbox = get(id)
      if (sandbox.state === 'stopped') throw new SlopboxError('wrong_state', `sandbox ${id} is not running`)
      sandbox.state = 'paused'
    },
    async resume(id) {
      const sandbox = get(id)
      if (sandbox.state === 'stopped') throw new SlopboxError('wrong_state', `sandbox ${id} is not running`)
      sandbox.state = 'running'
    },
    async writeFiles(id, files) {
      setFiles(get(id), files)
    },
    async update(id, { size, env, user, cwd, start }) {
      const sandbox = get(id)
      if (sandbox.state !== 'stopped')
        throw new SlopboxError('wrong_state', `cannot change sandbox ${id}: it is running`)
      sandbox.spec = { ...sandbox.spec, size, env, user, cwd, start }
      sandbox.specHash = specHash(sandbox.spec)
    },
    async exportLayer(id, toDir) {
      for (const [path, text] of get(id).disk) {
        mkdirSync(dirname(join(toDir, path)), { recursive: true })
        writeFileSync(join(toDir, path), text)
      }
    },
    async exec(id, request) {
      const sandbox = running(id, 'exec')
      failIfTold(sandbox.spec, 'exec', id)
      sandbox.cpuMs += 1
      return execute(world, sandbox, request)
    },
    async dial(id, port, signal) {
      const sandbox = running(id, 'dial')
      failIfTold(sandbox.spec, 'dial', id)
      signal.throwIfAborted()
      const server = sandbox.ports.get(port)
      if (server === undefined)
        throw new SlopboxError('upstream_failed', `nothing answers on port ${port} of the sandbox`)
      const [ours, theirs] = duplexPair()
      server.emit('connection', theirs)
      return ours as Duplex
    },
    async *logs(id, { tail, follow, signal }) {
      const { logs } = get(id)
      let next = Math.max(0, logs.length - tail)
      for (;;) {
        for (; next < logs.length; next++) yield logs[next] as LogLine
        if (!follow || signal.aborted) return
        await pause(20, signal)
      }
    },
    async addresses(id) {
      const slot = world.sandboxes.get(id)?.slot
      return slot === undefined ? undefined : linkOf(slot)
    },
  }
}

const linkOf = (slot: number): { host: string; sandbox: string } => {
  const at = (n: number): string => `192.0.2.${(slot * 4 + n) % 256}`
  return { host: at(1), sandbox: at(2) }
}

function newSandbox(spec: DriverSpec, slot: number): FakeSandbox {
  return {
    spec,
    specHash: specHash(spec),
    slot,
    disk: new Map(),
    files: new Map(),
    logs: [],
    ports: new Map(),
    state: 'stopped',
    exit: null,
    startedAt: null,
    epoch: crypto.randomUUID(),
    cpuMs: 0,
    life: new AbortController(),
  }
}

function failIfTold(spec: DriverSpec, verb: Verb, id: string): void {
  if (spec.template.key === `fake/${verb}-fails` || spec.env['FAKE_FAILS']?.split(',').includes(verb) === true)
    throw new SlopboxError('unavailable', `sandbox ${id}: ${verb} was told to fail`)
}

function setFiles(sandbox: FakeSandbox, files: readonly DriverFile[]): void {
  const { host, sandbox: own } = linkOf(sandbox.slot)
  sandbox.files = new Map(
    files.map(({ path, content }) => [
      `/etc/slopbox/${path}`,
      content.replaceAll('{{hostAddress}}', host).replaceAll('{{sandboxAddress}}', own),
    ]),
  )
}

function observe(sandbox: FakeSandbox): Observed {
  const { state, exit, startedAt } = sandbox
  return { state, exit, startedAt, specHash: sandbox.specHash }
}

function begin(world: FakeWorld, id: string, sandbox: FakeSandbox): void {
  const life = new AbortController()
  Object.assign(sandbox, { state: 'running', exit: null, startedAt: new Date().toISOString(), life })
  sandbox.cpuMs += 1
  sandbox.ports.set(
    80,
    createServer((_request, response) => response.end(`hello from ${id}\n`)),
  )
  const { start } = sandbox.spec
  if (start === null) return
  const process = makeProcess(world, sandbox, { command: start.command, env: {}, cwd: undefined, user: undefined })
  process.stdin.push(null)
  runToEnd({
    ...process,
    stdout: logWriter(sandbox, 'stdout'),
    stderr: logWriter(sandbox, 'stderr'),
    signal: life.signal,
  }).then(
    (outcome) => {
      if (sandbox.life === life && !life.signal.aborted) end(sandbox, outcome)
    },
    (error: unknown) => life.abort(error),
  )
}

function end(sandbox: FakeSandbox, exit: Observed['exit']): void {
  sandbox.life.abort('SIGTERM')
  sandbox.ports.clear()
  sandbox.state = 'stopped'
  sandbox.exit = exit
}

async function runToEnd(process: FakeProcess): Promise<NonNullable<Observed['exit']>> {
  try {
    const code = await runCommand(process)
    const signal = process.signal.aborted ? String(process.signal.reason) : null
    return { code: signal === null ? code : null, signal, outOfMemory: false }
  } catch (error) {
    if (!(error instanceof FakeOutOfMemory)) throw error
    return { code: null, signal: 'SIGKILL', outOfMemory: true }
  }
}

function logWriter(sandbox: FakeSandbox, stream: 'stdout' | 'stderr'): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      const lines = chunk.toString().replace(/\n$/, '').split('\n')
      for (const text of lines) sandbox.logs.push({ at: new Date().toISOString(), stream, text })
      done()
    },
  })
}

function execute(world: FakeWorld, sandbox: FakeSandbox, request: DriverExec): Execution {
  const killed = new AbortController()
  const process = {
    ...makeProcess(world, sandbox, request),
    signal: AbortSignal.any([killed.signal, sandbox.life.signal]),
  }
  // A command that is told to end reads no more.
  process.signal.addEventListener('abort', () => process.stdin.push(null), { once: true })
  const exited = runToEnd(process).then(({ code, signal }) => {
    process.stdout.end()
    process.stderr.end()
    return { code, signal }
  })
  return { ...process, kill: (signal) => killed.abort(signal), exited }
}

function makeProcess(
  world: FakeWorld,
  sandbox: FakeSandbox,
  request: DriverExec,
): Omit<FakeProcess, 'signal'> & Record<'stdin' | 'stdout' | 'stderr', PassThrough> {
  const { spec } = sandbox
  const user = request.user ?? spec.user ?? spec.template.user
  const place = (path: string): [Map<string, string>, string] => {
    const volume = spec.volumes.find((candidate) => path.startsWith(`${candidate.path}/`))
    if (volume === undefined) return [sandbox.disk, path]
    return [world.volumes.get(volume.id) ?? sandbox.disk, path.slice(volume.path.length)]
  }
  const change = (path: string): [Map<string, string>, string] => {
    if (path.startsWith('/etc/slopbox/')) throw new Error(`${path}: Read-only file system`)
    return place(path)
  }
  return {
    args: request.command,
    env: { PATH: '/bin', USER: user, ...spec.template.env, ...spec.env, ...request.env },
    cwd: request.cwd ?? spec.cwd ?? spec.template.cwd,
    user,
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    stderr: new PassThrough(),
    read(path) {
      const [disk, name] = place(path)
      const own = sandbox.files.get(path) ?? disk.get(name)
      if (own !== undefined || disk !== sandbox.disk) return own
      const file = spec.template.layers.map((layer) => join(layer, path)).find((below) => existsSync(below))
      return file === undefined ? undefined : readFileSync(file, 'utf8')
    },
    write(path, text) {
      const [disk, name] = change(path)
      disk.set(name, text)
    },
    remove(path) {
      const [disk, name] = change(path)
      disk.delete(name)
    },
    listen(port, server) {
      sandbox.ports.set(port, server)
      return () => sandbox.ports.delete(port)
    },
  }
}
