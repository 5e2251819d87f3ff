import { chown, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { SlopboxError } from '../../../contract/errors.ts'
import type { LogLine } from '../../../contract/sandboxes.ts'
import { KeyedQueue } from '../../../lib/keyed-queue.ts'
import type { Log } from '../../../lib/log.ts'
import type { Driver, DriverExec, DriverFile, DriverSpec, DriverUsage, Execution, Observed } from '../../driver.ts'
import { specHash } from '../spec-hash.ts'
import { sweepMachine } from './adopt.ts'
import { checkId, checkSpec } from './checks.ts'
import { detectCgroups, hasSwap, killProcess, removeParent } from './cgroups.ts'
import { dialAddress } from './dial.ts'
import { isDiskOver } from './disk-limit.ts'
import { DiskWatch } from './disk-watch.ts'
import type { Occupied, WatchedDisk } from './disk-watch.ts'
import { writeAuthorities, writeSpecFiles } from './environment.ts'
import { startExec } from './exec.ts'
import { startFiles } from './files.ts'
import { layoutOf, makeLayout, pathsOf, volumePath } from './layout.ts'
import { moveLayer } from './layers.ts'
import { OutputLog } from './logs.ts'
import { Network } from './network.ts'
import type { NetworkOptions } from './network.ts'
import { whyNoOci } from './probe.ts'
import { Sandbox } from './sandbox.ts'
import type { Machine } from './sandbox.ts'
import { Slots } from './slots.ts'
import { readRun, writeState } from './state.ts'
import { resolveUser } from './users.ts'

export interface OciOptions extends NetworkOptions {
  runtime: 'crun' | 'runc'
  /** Sandboxes and volumes live below it; the driver is its only user. */
  dataDir: string
  /** Public certificate (PEM) of the egress CA, put into every sandbox. */
  egressCaFile: string
  log: Log
}

/** Sandboxes as containers of an OCI runtime on this machine. Disposing leaves running sandboxes as they are. */
export async function ociDriver(options: OciOptions): Promise<OciDriver> {
  const layout = layoutOf(options.instance, options.dataDir)
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 })
  const lack = whyNoOci(options.runtime, options.dataDir)
  if (lack !== undefined)
    throw new SlopboxError('unavailable', `sandboxes cannot run: ${lack}`, {
      hint: '`slopbox doctor` tells what to install.',
    })
  await makeLayout(layout)
  const authorities = join(options.dataDir, 'authorities')
  await writeAuthorities(authorities, options.egressCaFile)
  const machine: Machine = {
    layout,
    runtime: options.runtime,
    cgroups: detectCgroups(),
    cgroupParent: `/slopbox-${options.instance}`,
    network: new Network(options),
    authorities,
    limitSwap: await hasSwap(),
  }
  const sandboxes = await sweepMachine(machine)
  const slots = await Slots.open(
    join(options.dataDir, 'slots'),
    machine.network.slots,
    [...sandboxes.values()].map((sandbox) => sandbox.state.slot),
  )
  return new OciDriver(machine, slots, sandboxes, options.log)
}

export class OciDriver implements Driver, AsyncDisposable {
  readonly name = 'oci'
  readonly isolations = ['container'] as const
  readonly #machine: Machine
  readonly #slots: Slots
  /** Made from what `state.json` says and dropped with it; they hold nothing that changes. */
  readonly #sandboxes: Map<string, Sandbox>
  readonly #logs = new Map<string, OutputLog>()
  readonly #queue = new KeyedQueue()
  readonly #log: Log
  readonly #diskWatch: DiskWatch

  constructor(machine: Machine, slots: Slots, sandboxes: Map<string, Sandbox>, log: Log) {
    this.#machine = machine
    this.#slots = slots
    this.#sandboxes = sandboxes
    this.#log = log
    this.#diskWatch = new DiskWatch({
      root: machine.layout.dataDir,
      running: async () =>
        (await Promise.all([...this.#sandboxes.values()].map((one) => one.disk()))).filter(
          (disk) => disk !== undefined,
        ),
      measured: (disk, occupied) => this.#holdToDisk(disk, occupied),
      onError: (error) => log.error({ err: error }, 'disks could not be measured'),
    })
  }

  create(id: string, spec: DriverSpec): Promise<void> {
    return this.#queue.run(id, async () => {
      if (this.#sandboxes.has(id)) return
      await checkSpec(id, spec)
      const account = await resolveUser(spec.template.layers, spec.user ?? spec.template.user)
      const paths = pathsOf(this.#machine.layout, id)
      await rm(paths.dir, { recursive: true, force: true })
      await mkdir(paths.dir, { recursive: true, mode: 0o700 })
      await mkdir(paths.data, { mode: 0o700 })
      for (const dir of [join(paths.data, 'upper'), join(paths.data, 'work'), paths.etc, paths.net, paths.bundle])
        await mkdir(dir, { mode: 0o755 })
      for (const volume of spec.volumes) await this.#makeVolume(volume.id, account.uid, account.gid)
      const slot = await this.#slots.take()
      try {
        const state = { version: 1 as const, slot, specHash: specHash(spec), account, spec }
        const sandbox = new Sandbox(this.#machine, id, state)
        await writeSpecFiles(paths, spec.files, sandbox.link)
        await writeState(paths, state)
        this.#sandboxes.set(id, sandbox)
      } catch (error) {
        this.#slots.release(slot)
        throw error
      }
    })
  }

  start(id: string): Promise<void> {
    return this.#queue.run(id, async () => {
      const sandbox = this.#get(id)
      if ((await sandbox.look()).init !== undefined) return
      await sandbox.settle('exit')
      await sandbox.launch()
    })
  }

  stop(id: string): Promise<void> {
    return this.#queue.run(id, async () => {
      const sandbox = this.#get(id)
      const { init } = await sandbox.look()
      const graceMs = sandbox.state.spec.start?.stopGraceMs ?? 0
      if (init !== undefined && graceMs > 0) {
        await sandbox.cgroup.freeze(false, AbortSignal.timeout(5_000))
        killProcess(init, 'SIGTERM')
        const until = performance.now() + graceMs
        while (performance.now() < until && (await sandbox.cgroup.holds(init))) await sleep(10)
      }
      await sandbox.settle('stop')
    })
  }

  destroy(id: string, volumes: readonly string[]): Promise<void> {
    return this.#queue.run(id, async () => {
      const sandbox = this.#sandboxes.get(id)
      if (sandbox !== undefined) {
        await sandbox.settle('stop')
        // From here on it does not exist; what a crash leaves of the trash is swept at the next start.
        const trash = join(this.#machine.layout.dataDir, 'sandboxes', `.trash-${id}-${crypto.randomUUID()}`)
        await rename(sandbox.paths.dir, trash)
        this.#sandboxes.delete(id)
        this.#logs.delete(id)
        this.#slots.release(sandbox.state.slot)
        await rm(trash, { recursive: true, force: true })
      } else await rm(pathsOf(this.#machine.layout, checkId(id)).dir, { recursive: true, force: true })
      for (const volume of volumes)
        await rm(volumePath(this.#machine.layout, checkId(volume)), { recursive: true, force: true })
    })
  }

  async list(): Promise<ReadonlyMap<string, Observed>> {
    const sandboxes = [...this.#sandboxes.values()]
    return new Map(await Promise.all(sandboxes.map(async (one) => [one.id, await this.#observe(one)] as const)))
  }

  async look(id: string): Promise<Observed | undefined> {
    const sandbox = this.#sandboxes.get(id)
    return sandbox === undefined ? undefined : await this.#observe(sandbox)
  }

  async usage(id: string): Promise<DriverUsage> {
    const sandbox = this.#get(id)
    const run = await readRun(sandbox.paths)
    const [used, memoryBytes] =
      run.phase === 'ended' ? [0, 0] : await Promise.all([sandbox.cgroup.cpuMs(), sandbox.cgroup.memoryBytes()])
    return { epoch: run.epoch, cpuMs: Math.floor(run.cpuMs + (used ?? 0)), memoryBytes }
  }

  pause(id: string): Promise<void> {
    return this.#freeze(id, true)
  }

  resume(id: string): Promise<void> {
    return this.#freeze(id, false)
  }

  writeFiles(id: string, files: readonly DriverFile[]): Promise<void> {
    return this.#queue.run(id, () => {
      const sandbox = this.#get(id)
      return writeSpecFiles(sandbox.paths, files, sandbox.link)
    })
  }

  async exec(id: string, request: DriverExec): Promise<Execution> {
    const sandbox = this.#get(id)
    await this.#requireRunning(sandbox, 'exec')
    const { spec } = sandbox.state
    const account =
      request.user === undefined ? sandbox.state.account : await resolveUser(spec.template.layers, request.user)
    const cwd = request.cwd ?? spec.cwd ?? spec.template.cwd
    if (!cwd.startsWith('/')) throw new SlopboxError('invalid_request', `cwd ${JSON.stringify(cwd)} is not absolute`)
    const term = request.terminal === undefined ? {} : { TERM: 'xterm-256color' }
    const own = request.user === undefined ? {} : { HOME: account.home, USER: account.name }
    return startExec({
      id,
      runtime: this.#machine.runtime,
      runtimeRoot: join(this.#machine.layout.runDir, 'runtime'),
      directory: join(this.#machine.layout.runDir, 'pids'),
      request: { ...account, args: request.command, cwd, env: { ...sandbox.env(), ...term, ...own, ...request.env } },
      terminal: request.terminal,
      power: spec.power,
      cgroup: sandbox.cgroup,
      onError: (error) => this.#log.error({ error, sandboxId: id }, 'exec could not be cleaned up'),
    })
  }

  async files(id: string, user: string | undefined, words: readonly string[]): Promise<Execution> {
    const sandbox = this.#get(id)
    await this.#requireRunning(sandbox, 'work on files')
    const { spec, account } = sandbox.state
    const as = user === undefined ? account : await resolveUser(spec.template.layers, user)
    const { init } = await sandbox.look()
    if (init === undefined) throw new SlopboxError('wrong_state', `sandbox ${id} is not running`)
    return startFiles(init, as, words)
  }

  async dial(id: string, port: number, signal: AbortSignal): Promise<Duplex> {
    const sandbox = this.#get(id)
    await this.#requireRunning(sandbox, 'dial')
    return dialAddress(sandbox.link.sandboxAddress, port, signal)
  }

  async *logs(id: string, options: { tail: number; follow: boolean; signal: AbortSignal }): AsyncGenerator<LogLine> {
    yield* this.#output(this.#get(id)).read(options)
  }

  async addresses(id: string): Promise<{ host: string; sandbox: string } | undefined> {
    const link = this.#sandboxes.get(id)?.link
    return link === undefined ? undefined : { host: link.hostAddress, sandbox: link.sandboxAddress }
  }

  update(id: string, spec: DriverSpec): Promise<void> {
    return this.#queue.run(id, async () => {
      const { state, paths } = this.#get(id)
      await this.#requireStopped(id, 'change')
      const { size, env, user, cwd, start } = spec
      const changed = { ...state.spec, size, env, user, cwd, start }
      await checkSpec(id, changed)
      const account = await resolveUser(changed.template.layers, user ?? changed.template.user)
      const next = { ...state, account, spec: changed, specHash: specHash(changed) }
      await writeState(paths, next)
      this.#sandboxes.set(id, new Sandbox(this.#machine, id, next))
    })
  }

  exportLayer(id: string, toDir: string): Promise<void> {
    return this.#queue.run(id, async () => {
      const { paths } = this.#get(id)
      await this.#requireStopped(id, 'export')
      await moveLayer(join(paths.data, 'upper'), toDir)
    })
  }

  /** Destroys every sandbox and takes the rules and directories of this installation off the machine; volumes stay. */
  async purge(): Promise<void> {
    const ends = await Promise.allSettled([...this.#sandboxes.keys()].map((id) => this.destroy(id, [])))
    const failed = ends.find((end) => end.status === 'rejected')
    // The rules stay as long as a link may be up.
    if (failed !== undefined) throw failed.reason
    await this.#machine.network.unload()
    await removeParent(this.#machine.cgroups, this.#machine.cgroupParent)
    await rm(this.#machine.layout.runDir, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#diskWatch[Symbol.asyncDispose]()
    await this.#queue.idle()
  }

  #holdToDisk({ id, size }: WatchedDisk, occupied: Occupied): Promise<void> {
    return this.#queue.run(id, async () => {
      const sandbox = this.#sandboxes.get(id)
      if (sandbox === undefined || (await sandbox.look()).init === undefined) return
      if (!(await isDiskOver(sandbox.paths, size, occupied))) return
      this.#log.warn({ sandboxId: id, ...occupied, diskGiB: size.diskGiB }, 'stopping a sandbox over its disk')
      await sandbox.cgroup.kill(AbortSignal.timeout(15_000))
    })
  }

  async #observe(sandbox: Sandbox): Promise<Observed> {
    const { run, init } = await sandbox.look()
    const frozen = init !== undefined && (await sandbox.cgroup.frozen())
    await this.#output(sandbox).observe()
    const exited = run.phase === 'running' && init === undefined
    return {
      state: init === undefined ? 'stopped' : frozen ? 'paused' : 'running',
      exit: exited ? await sandbox.exit() : run.exit,
      specHash: sandbox.state.specHash,
      startedAt: run.startedAt,
    }
  }

  #freeze(id: string, frozen: boolean): Promise<void> {
    return this.#queue.run(id, async () => {
      const sandbox = this.#get(id)
      if ((await sandbox.look()).init === undefined)
        throw new SlopboxError('wrong_state', `sandbox ${id} is not running`)
      await sandbox.cgroup.freeze(frozen, AbortSignal.timeout(5_000))
    })
  }

  async #requireRunning(sandbox: Sandbox, verb: string): Promise<void> {
    const { init } = await sandbox.look()
    if (init === undefined)
      throw new SlopboxError('wrong_state', `cannot ${verb} in sandbox ${sandbox.id}: it is not running`)
    if (await sandbox.cgroup.frozen())
      throw new SlopboxError('wrong_state', `cannot ${verb} in sandbox ${sandbox.id}: it is paused`)
  }

  async #requireStopped(id: string, verb: string): Promise<void> {
    const sandbox = this.#get(id)
    if ((await sandbox.look()).init !== undefined)
      throw new SlopboxError('wrong_state', `cannot ${verb} sandbox ${id}: it is running`)
    await sandbox.settle('exit')
  }

  #get(id: string): Sandbox {
    const sandbox = this.#sandboxes.get(id)
    if (sandbox === undefined) throw new SlopboxError('not_found', `no sandbox ${id} on this host`)
    return sandbox
  }

  #output(sandbox: Sandbox): OutputLog {
    let log = this.#logs.get(sandbox.id)
    if (log === undefined) {
      log = new OutputLog(sandbox.paths.output, sandbox.paths.outputOld)
      this.#logs.set(sandbox.id, log)
    }
    return log
  }

  /** A new volume belongs to the sandbox's user; an existing one is left as it is. */
  async #makeVolume(volume: string, uid: number, gid: number): Promise<void> {
    const path = volumePath(this.#machine.layout, volume)
    // Its owner is set before it has its name, so a crash leaves no volume that belongs to the wrong user.
    const fresh = `${path}.${crypto.randomUUID()}.new`
    if ((await readdir(join(path, '..'))).includes(volume)) return
    await mkdir(fresh, { mode: 0o755 })
    await chown(fresh, uid, gid)
    await rename(fresh, path)
  }
}
