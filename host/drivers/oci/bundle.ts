import { readFileSync } from 'node:fs'
import type { Link } from './network.ts'
import { seccompProfile } from './seccomp.ts'
import type { State } from './state.ts'

export const initProgram = '/usr/bin/catatonit'
const initInside = '/run/slopbox/init'
/** Ids 0..65535 of the sandbox in slot n are this + n × 65536 outside; above what distributions hand out by themselves. */
const firstId = 0x3000_0000
export const idRange = 65_536
export const baseId = (slot: number): number => firstId + slot * idRange

export const pidsLimit = 512
const periodUs = 100_000

/** What a package manager needs, within its own user namespace. */
const buildCapabilities = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_NET_BIND_SERVICE',
  'CAP_SETFCAP',
  'CAP_SETGID',
  'CAP_SETPCAP',
  'CAP_SETUID',
  'CAP_SYS_CHROOT',
]

/** Not more than this process may have: the runtime sets limits where it cannot raise them any more. */
const openFiles = Math.min(65_536, hardOpenFiles(readFileSync('/proc/self/limits', 'utf8')))

function hardOpenFiles(limits: string): number {
  const hard = /^Max open files +\S+ +(\S+)/m.exec(limits)?.[1] ?? 'unlimited'
  return hard === 'unlimited' ? Infinity : Number(hard)
}

export interface ProcessRequest {
  args: readonly string[]
  env: Readonly<Record<string, string>>
  cwd: string
  uid: number
  gid: number
  groups: readonly number[]
}

/**
 * `process` of an OCI bundle, for the main process and for exec alike. No new privileges also in a build: it runs as root
 * already, and set-user-id programs would only widen what a build's own scripts can do.
 */
export function processConfig(request: ProcessRequest, power: 'none' | 'build'): object {
  const held = power === 'build' && request.uid === 0 ? buildCapabilities : []
  return {
    terminal: false,
    user: { uid: request.uid, gid: request.gid, additionalGids: request.groups },
    args: request.args,
    env: Object.entries(request.env).map(([name, value]) => `${name}=${value}`),
    cwd: request.cwd,
    noNewPrivileges: true,
    oomScoreAdj: 300,
    // The bounding set holds for every later exec in a build, whatever user it begins as.
    capabilities: { bounding: held, effective: held, permitted: held, inheritable: [], ambient: [] },
    rlimits: [
      { type: 'RLIMIT_NOFILE', soft: openFiles, hard: openFiles },
      { type: 'RLIMIT_CORE', soft: 0, hard: 0 },
    ],
  }
}

export interface BundleOptions {
  state: State
  link: Link
  stage: string
  cgroupPath: string
  hostname: string
  env: Readonly<Record<string, string>>
  /** Sources of the host's own files, by path inside. */
  binds: readonly { source: string; path: string; writable?: boolean }[]
  limitSwap: boolean
}

/** config.json of the bundle (OCI runtime specification 1.0). */
export function bundleConfig(options: BundleOptions): object {
  const { state, env } = options
  const { spec, account } = state
  // With `-P` the init itself is the idle process: it only reaps.
  const args = spec.start === null ? [initInside, '-P'] : [initInside, '--', ...spec.start.command]
  const cwd = spec.cwd ?? spec.template.cwd
  const idle = spec.start === null
  return {
    ociVersion: '1.0.2',
    process: processConfig(
      {
        args,
        env,
        cwd: idle ? '/' : cwd,
        uid: idle ? 0 : account.uid,
        gid: idle ? 0 : account.gid,
        groups: idle ? [] : account.groups,
      },
      idle ? 'none' : spec.power,
    ),
    root: { path: `${options.stage}/root`, readonly: false },
    hostname: options.hostname,
    mounts: mounts(options.binds),
    linux: {
      namespaces: ['pid', 'network', 'ipc', 'uts', 'mount', 'user', 'cgroup'].map((type) => ({ type })),
      uidMappings: [{ containerID: 0, hostID: baseId(state.slot), size: idRange }],
      gidMappings: [{ containerID: 0, hostID: baseId(state.slot), size: idRange }],
      cgroupsPath: options.cgroupPath,
      resources: resources(spec.size, options.limitSwap),
      seccomp: seccompProfile(spec.power),
      sysctl: {
        'net.ipv6.conf.all.disable_ipv6': '1',
        'net.ipv6.conf.default.disable_ipv6': '1',
        // Nobody else lives in this network namespace, so low ports need no privilege.
        'net.ipv4.ip_unprivileged_port_start': '0',
      },
      maskedPaths: [
        '/proc/acpi',
        '/proc/asound',
        '/proc/kcore',
        '/proc/keys',
        '/proc/latency_stats',
        '/proc/sched_debug',
        '/proc/scsi',
        '/proc/timer_list',
        '/proc/timer_stats',
        '/sys/devices/virtual/powercap',
        '/sys/firmware',
      ],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  }
}

function mounts(binds: BundleOptions['binds']): object[] {
  const quiet = ['nosuid', 'noexec', 'nodev']
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: quiet },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'noexec', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: [...quiet, 'mode=1777', 'size=65536k'] },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...quiet, 'ro'] },
    // Node and Java size their heaps by the limits they read here.
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: [...quiet, 'relatime', 'ro'] },
    { destination: initInside, type: 'bind', source: initProgram, options: ['bind', 'ro', 'nosuid', 'nodev'] },
    ...binds.map(({ source, path, writable }) => ({
      destination: path,
      type: 'bind',
      source,
      options: writable === true ? ['bind', 'rw', 'nosuid', 'nodev'] : ['bind', 'ro', 'nosuid', 'nodev'],
    })),
  ]
}

function resources(size: State['spec']['size'], limitSwap: boolean): object {
  const limit = size.memoryMiB * 1024 * 1024
  return {
    cpu: {
      shares: Math.max(2, Math.round(size.cpus * 1024)),
      quota: Math.round(size.cpus * periodUs),
      period: periodUs,
    },
    memory: limitSwap ? { limit, swap: limit } : { limit },
    pids: { limit: pidsLimit },
    devices: [
      { allow: false, access: 'rwm' },
      // null, zero, full, random, urandom, tty; then /dev/ptmx and the terminals of /dev/pts.
      ...[3, 5, 7, 8, 9].map((minor) => ({ allow: true, type: 'c', major: 1, minor, access: 'rw' })),
      ...[0, 2].map((minor) => ({ allow: true, type: 'c', major: 5, minor, access: 'rw' })),
      { allow: true, type: 'c', major: 136, access: 'rw' },
    ],
  }
}
