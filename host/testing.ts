/** Pieces for this folder's tests: a driver whose world is a map, and things as they arrive from control. */
import { mkdir, writeFile } from 'node:fs/promises'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { duplexPair, PassThrough, type Duplex } from 'node:stream'
import { newId } from '../contract/ids.ts'
import type { LogLine } from '../contract/sandboxes.ts'
import type { DesiredSandbox, DesiredTemplate } from '../contract/sync.ts'
import type { Driver, DriverExec, DriverFile, DriverSpec, Execution, Observed } from './driver.ts'

interface MapSandbox {
  spec: DriverSpec
  files: readonly DriverFile[]
  observed: Observed
  runs: number
  cpuMs: number
  memoryBytes: number
}

/** A command that a test plays the part of. */
export interface PlayedExec {
  id: string
  request: DriverExec
  stdin: PassThrough
  stdout: PassThrough
  stderr: PassThrough
  signals: NodeJS.Signals[]
  end(code: number | null, signal?: string): void
}

export type MapDriver = ReturnType<typeof mapDriver>

export function mapDriver() {
  const world = new Map<string, MapSandbox>()
  const calls: string[] = []
  /** Called before a verb acts: throw to fail it, wait to hold it up. */
  const before: { verb: (verb: string, id: string) => Promise<void> | void } = { verb: () => {} }
  const handlers = {
    exec: (played: PlayedExec): void => played.end(0),
    dial: async (_id: string, _port: number): Promise<Duplex> => {
      throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
    },
    logs: [] as LogLine[],
    /** Files that a build "makes", relative to the layer. */
    layer: { 'made-by-steps': 'yes' } as Record<string, string>,
  }
  const enter = async (verb: string, id: string): Promise<void> => {
    calls.push(`${verb} ${id}`)
    await before.verb(verb, id)
  }
  const get = (id: string): MapSandbox => {
    const found = world.get(id)
    if (found === undefined) throw new Error(`no sandbox ${id}`)
    return found
  }
  const set = (id: string, change: Partial<Observed>): void => {
    get(id).observed = { ...get(id).observed, ...change }
  }
  const driver: Driver = {
    name: 'map',
    isolations: ['container'],
    async create(id, spec) {
      await enter('create', id)
      const observed: Observed = { state: 'stopped', exit: null, specHash: 'h', startedAt: null }
      if (!world.has(id)) world.set(id, { spec, files: spec.files, observed, runs: 0, cpuMs: 0, memoryBytes: 0 })
    },
    async start(id) {
      await enter('start', id)
      const runs = (get(id).runs += 1)
      get(id).cpuMs = 0
      set(id, { state: 'running', exit: null, startedAt: new Date(1_000_000 + runs).toISOString() })
    },
    async stop(id) {
      await enter('stop', id)
      set(id, { state: 'stopped', exit: null })
    },
    async destroy(id, volumes) {
      await enter(`destroy${volumes.length > 0 ? `+${volumes.join('+')}` : ''}`, id)
      world.delete(id)
    },
    list: async () => new Map([...world].map(([id, { observed }]) => [id, observed])),
    async usage(id) {
      const { runs, cpuMs, memoryBytes } = get(id)
      return { epoch: String(runs), cpuMs, memoryBytes }
    },
    async pause(id) {
      await enter('pause', id)
      set(id, { state: 'paused' })
    },
    async resume(id) {
      await enter('resume', id)
      set(id, { state: 'running' })
    },
    async writeFiles(id, files) {
      await enter('writeFiles', id)
      get(id).files = files
    },
    async exec(id, request) {
      await enter('exec', id)
      return play(id, request, handlers.exec)
    },
    dial: (id, port) => handlers.dial(id, port),
    async *logs() {
      yield* handlers.logs
    },
    addresses: async () => ({ host: '10.9.0.1', sandbox: '10.9.0.2' }),
    async exportLayer(id, toDir) {
      await enter('exportLayer', id)
      for (const [name, content] of Object.entries(handlers.layer)) {
        await mkdir(join(toDir, name, '..'), { recursive: true })
        await writeFile(join(toDir, name), content)
      }
    },
  }
  return {
    driver,
    world,
    calls,
    before,
    handlers,
    get,
    /** The main process ends by itself. */
    crash: (id: string, exit: NonNullable<Observed['exit']>) => set(id, { state: 'stopped', exit }),
  }
}

function play(id: string, request: DriverExec, handler: (played: PlayedExec) => void): Execution {
  const { promise: exited, resolve } = Promise.withResolvers<{ code: number | null; signal: string | null }>()
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()]
  const signals: NodeJS.Signals[] = []
  const end = (code: number | null, signal: string | null = null): void => {
    stdout.end()
    stderr.end()
    resolve({ code, signal })
  }
  const kill = (signal: NodeJS.Signals): void => {
    signals.push(signal)
    if (signal === 'SIGKILL') end(null, signal)
  }
  // As with a process, what it does comes after the call that started it.
  setImmediate(handler, { id, request, stdin, stdout, stderr, signals, end })
  return { stdin, stdout, stderr, kill, exited }
}

/** A port inside that answers every HTTP request with this status. */
export function answering(status: () => number, seen: (request: string) => void = () => {}): () => Promise<Duplex> {
  return async () => {
    const [inside, outside] = duplexPair()
    inside.once('data', (chunk: Buffer) => {
      seen(chunk.toString())
      inside.end(`HTTP/1.1 ${status()} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`)
    })
    return outside
  }
}

export function wanted(
  change: Partial<DesiredSandbox> = {},
  spec: Partial<DesiredSandbox['spec']> = {},
): DesiredSandbox {
  return {
    id: newId('sandbox'),
    agentId: null,
    state: 'running',
    generation: 1,
    deleteVolumes: [],
    ...change,
    spec: {
      template: 'base-1',
      isolation: 'container',
      size: { cpus: 1, memoryMiB: 512, diskGiB: 1 },
      env: {},
      user: null,
      cwd: null,
      start: { command: ['serve'], restart: 'always', stopGraceMs: 0 },
      ready: null,
      files: [],
      onFilesChanged: null,
      volumes: [],
      ...spec,
    },
  }
}

export function template(change: Partial<DesiredTemplate> = {}): DesiredTemplate {
  return {
    key: 'base-1',
    name: 'base',
    buildId: newId('build'),
    from: { kind: 'template', key: 'root-1' },
    steps: [{ title: 'one step', run: 'true' }],
    env: {},
    user: 'user',
    cwd: '/home/user',
    wanted: false,
    ...change,
  }
}

export function temporary(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'slopbox-host-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}
