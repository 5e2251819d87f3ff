import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SlopboxError } from '../../../contract/errors.ts'
import { baseId, bundleConfig } from './bundle.ts'
import { SandboxCgroup } from './cgroups.ts'
import type { Cgroups } from './cgroups.ts'
import { allowFullDisk, endedForDisk } from './disk-limit.ts'
import type { WatchedDisk } from './disk-watch.ts'
import { linkAuthorities, sandboxEnv, writeNetFiles } from './environment.ts'
import { launch } from './launch.ts'
import type { Step } from './launch.ts'
import { pathsOf, readIfThere, volumePath, writeAtomic } from './layout.ts'
import type { Layout, SandboxPaths } from './layout.ts'
import type { Link, Network } from './network.ts'
import { newEpoch, readRun, writeRun } from './state.ts'
import type { Exit, Run, State } from './state.ts'

/** What all sandboxes of an installation share. */
export interface Machine {
  layout: Layout
  runtime: 'crun' | 'runc'
  cgroups: Cgroups
  cgroupParent: string
  network: Network
  authorities: string
  limitSwap: boolean
}

/** Without a link-local address of its own the host's end speaks no IPv6; a kernel without IPv6 does not know the word. */
const hasIpv6 = existsSync('/proc/net/if_inet6')

/** Nothing the kernel does for us takes longer. */
const patienceMs = 15_000

/** One sandbox on this machine: its disk, its latest run and what the kernel says of it. Holds no state of its own. */
export class Sandbox {
  readonly id: string
  readonly state: State
  readonly paths: SandboxPaths
  readonly link: Link
  readonly cgroup: SandboxCgroup
  readonly #machine: Machine

  constructor(machine: Machine, id: string, state: State) {
    this.#machine = machine
    this.id = id
    this.state = state
    this.paths = pathsOf(machine.layout, id)
    this.link = machine.network.link(state.slot)
    this.cgroup = new SandboxCgroup(machine.cgroups, `${machine.cgroupParent}/${id}`)
  }

  get hostname(): string {
    return this.id
  }

  env(): Record<string, string> {
    return sandboxEnv(this.state, this.link)
  }

  /** Process id of its init, as this machine numbers it; undefined when it does not live. */
  async init(): Promise<number | undefined> {
    const pid = Number(await readIfThere(this.paths.pidFile))
    return pid > 0 && (await this.cgroup.holds(pid)) ? pid : undefined
  }

  /** The latest run, and whether it still lives. */
  async look(): Promise<{ run: Run; init: number | undefined }> {
    const run = await readRun(this.paths)
    return { run, init: run.phase === 'running' ? await this.init() : undefined }
  }

  /** Starts a run. The sandbox must be settled. */
  async launch(): Promise<void> {
    const { network } = this.#machine
    await Promise.all([
      network.admit(this.state.slot),
      linkAuthorities(this.#machine.authorities, this.paths),
      writeNetFiles(this.paths, this.hostname, this.link),
      this.#writeBundle(),
      rm(this.paths.exit, { force: true }),
      allowFullDisk(this.paths),
      rm(this.paths.runtimeLog, { force: true }),
    ])
    const before = await readRun(this.paths)
    const run: Run = { ...before, phase: 'launching', startedAt: new Date().toISOString(), exit: null }
    await writeRun(this.paths, run)
    await network.announce(this.id, this.link)
    try {
      await launch(this.#plan(), this.paths.output)
    } catch (error) {
      const why = await this.#runtimeMessage(error)
      await this.settle('stop')
      throw new SlopboxError('unavailable', `sandbox ${this.id} does not start: ${why}`, {
        hint: 'The template or the machine is missing something: `slopbox doctor` tells what.',
        cause: error,
      })
    }
    await writeRun(this.paths, { ...run, phase: 'running' })
  }

  /**
   * Ends whatever is left of the latest run: processes, link, groups, the runtime's record. Its CPU time and exit are
   * written down in one step before the counter goes, so a repeat after a crash counts nothing twice.
   */
  async settle(why: 'exit' | 'stop'): Promise<void> {
    const signal = AbortSignal.timeout(patienceMs)
    const { run, init } = await this.look()
    if (run.phase === 'ended' && (await this.#isClear())) {
      if (why === 'stop' && run.exit !== null) await writeRun(this.paths, { ...run, exit: null })
      return
    }
    const exit = why === 'stop' || run.phase !== 'running' || init !== undefined ? null : await this.exit()
    await this.cgroup.kill(signal)
    if (run.phase !== 'ended') {
      const used = await this.cgroup.cpuMs()
      // Without a group the machine itself restarted, and with it went time already reported: begin to count anew.
      const lost = used === undefined && run.phase === 'running'
      await writeRun(this.paths, {
        phase: 'ended',
        startedAt: run.startedAt,
        exit,
        epoch: lost ? newEpoch() : run.epoch,
        cpuMs: lost ? 0 : run.cpuMs + (used ?? 0),
      })
    } else if (why === 'stop' && run.exit !== null) await writeRun(this.paths, { ...run, exit: null })
    const { network, layout } = this.#machine
    await Promise.all([
      // Egress knows the pair until the link is gone: later it could only be somebody else's.
      network.remove(this.link).then(() => network.withdraw(this.id)),
      this.cgroup.remove(signal),
      rm(join(layout.runDir, 'runtime', this.id), { recursive: true, force: true }),
      rm(this.paths.runtimeLog, { force: true }),
    ])
    // Last, because without it a later look takes everything for done.
    await rm(this.paths.pidFile, { force: true })
  }

  /** True when an ended run has left nothing. The link comes after the file with the init's number and goes before it. */
  async #isClear(): Promise<boolean> {
    return (await readIfThere(this.paths.pidFile)) === undefined && !(await this.cgroup.exists())
  }

  /** How a run that lives no more ended. The helper that waits for the init needs a moment to write it down. */
  async exit(): Promise<Exit> {
    if (await endedForDisk(this.paths)) return { code: null, signal: 'SIGKILL', outOfMemory: false, outOfDisk: true }
    let status = await readIfThere(this.paths.exit)
    for (let tries = 0; status === undefined && this.state.spec.start !== null && tries < 20; tries++) {
      await sleep(10)
      status = await readIfThere(this.paths.exit)
    }
    const killed = (await this.cgroup.outOfMemoryKills()) > 0
    if (status === undefined) return { code: null, signal: null, outOfMemory: killed }
    const value = Number(status)
    // The init passes on the end of its child as shells do: 128 + the number of the signal.
    const number = value & 127 || (value >> 8 > 128 ? (value >> 8) - 128 : 0)
    const signal = Object.entries(constants.signals).find(([, n]) => n === number)?.[0] ?? null
    const code = signal === null ? value >> 8 : null
    return { code, signal, outOfMemory: killed && signal === 'SIGKILL' }
  }

  /** What the disk watch looks at; undefined while it does not run. */
  async disk(): Promise<WatchedDisk | undefined> {
    if ((await this.look()).init === undefined) return undefined
    const { size, volumes } = this.state.spec
    const directories = [
      join(this.paths.data, 'upper'),
      ...volumes.map((volume) => volumePath(this.#machine.layout, volume.id)),
    ]
    return { id: this.id, directories, processes: await this.cgroup.processes(), size }
  }

  async #writeBundle(): Promise<void> {
    const stage = join(this.#machine.layout.runDir, 'stage')
    const at = (name: string, path: string): { source: string; path: string } => ({ source: join(stage, name), path })
    const { spec } = this.state
    const config = bundleConfig({
      state: this.state,
      link: this.link,
      stage,
      cgroupPath: `${this.#machine.cgroupParent}/${this.id}`,
      hostname: this.hostname,
      env: this.env(),
      limitSwap: this.#machine.limitSwap,
      binds: [
        at('etc', '/etc/slopbox'),
        at('net/resolv.conf', '/etc/resolv.conf'),
        at('net/hosts', '/etc/hosts'),
        at('net/hostname', '/etc/hostname'),
        // A build installs certificates by itself, and cannot replace a file that is a mount.
        ...(spec.power === 'build' ? [] : [at('etc/ca-bundle.pem', '/etc/ssl/certs/ca-certificates.crt')]),
        ...spec.volumes.map((volume, index) => ({ ...at(`v${index}`, volume.path), writable: true })),
      ],
    })
    await writeAtomic(join(this.paths.bundle, 'config.json'), JSON.stringify(config))
  }

  #plan(): Step[] {
    const { layout, runtime, cgroups } = this.#machine
    const { spec, slot } = this.state
    const stage = join(layout.runDir, 'stage')
    const log = ['--log', this.paths.runtimeLog, '--log-format', 'json'] as const
    const call = ['run', runtime, '--root', join(layout.runDir, 'runtime'), ...log] as const
    const layers = spec.template.layers.map((_, index) => `l${index}`)
    const { interface: name, hostAddress, sandboxAddress } = this.link
    // redirect_dir: programs may rename directories of the template, as npm does.
    const options = `lowerdir=${layers.join(':')},upperdir=data/upper,workdir=data/work,redirect_dir=on,index=off`
    return [
      ...(cgroups.hybrid === null ? [] : [['hide', cgroups.hybrid] as const]),
      ['stage', stage],
      ['map', String(baseId(slot))],
      ...spec.template.layers.map((layer, index) => ['clone', layer, `l${index}`] as const),
      ['clone', this.paths.data, 'data'],
      ['overlay', 'root', options],
      ['clone', this.paths.etc, 'etc'],
      ['clone', this.paths.net, 'net'],
      ...spec.volumes.map((volume, index) => ['clone', volumePath(layout, volume.id), `v${index}`] as const),
      ['adopt'],
      ['early'],
      [...call, 'create', '--bundle', this.paths.bundle, '--pid-file', this.paths.pidFile, this.id],
      ['pid', this.paths.pidFile],
      [
        'ip',
        `link add ${name} type veth peer name eth0 netns {pid};${hasIpv6 ? `link set ${name} addrgenmode none;` : ''}` +
          `address add ${hostAddress}/30 dev ${name};link set ${name} up`,
      ],
      [
        'inside',
        `address add ${sandboxAddress}/30 dev eth0;link set eth0 up;link set lo up;route add default via ${hostAddress}`,
      ],
      [...call, 'start', this.id],
      ['leave', stage],
      ...(spec.start === null ? [] : [['watch', this.paths.exit] as const]),
    ]
  }

  /** The runtime's own last word, which says more than its exit code. */
  async #runtimeMessage(error: unknown): Promise<string> {
    const own = error instanceof Error ? error.message : String(error)
    const lines = (await readIfThere(this.paths.runtimeLog))?.trim().split('\n') ?? []
    const said = lines.flatMap((line) => /"msg": *"((?:[^"\\]|\\.)*)"/.exec(line)?.[1] ?? [])
    return said.at(-1) ?? own
  }
}
