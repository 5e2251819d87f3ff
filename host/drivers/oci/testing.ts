/** A small root file system made of this machine's own programs, and a driver in a corner of its own. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { silentLog } from '../../../lib/log.ts'
import type { DriverSpec } from '../../driver.ts'
import type { ExamWorld } from '../driver.exam.ts'
import { detectCgroups } from './cgroups.ts'
import { ociDriver, type OciDriver, type OciOptions } from './driver.ts'

const programs = [
  'cat',
  'echo',
  'env',
  'id',
  'ls',
  'mkdir',
  'mv',
  'ps',
  'rm',
  'sleep',
  'tee',
  'true',
  'whoami',
  'perl',
  'chown',
]

/** Copies programs and the libraries they name (ldd(1)) to the same places below `root`. */
export function makeLayer(root: string): void {
  for (const dir of ['bin', 'dev', 'etc', 'home/user', 'proc', 'root', 'run', 'sys', 'tmp', 'usr/bin', 'var'])
    mkdirSync(join(root, dir), { recursive: true })
  const copy = (from: string, to: string): void => {
    mkdirSync(dirname(join(root, to)), { recursive: true })
    if (!existsSync(join(root, to))) copyFileSync(from, join(root, to))
  }
  for (const name of [...programs, 'sh']) {
    const file = execFileSync('readlink', ['-f', `/bin/${name}`], { encoding: 'utf8' }).trim()
    copy(file, `bin/${name}`)
    for (const [, library] of execFileSync('ldd', [file], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g)) {
      if (library !== undefined) copy(library, library)
    }
  }
  chmodSync(join(root, 'tmp'), 0o1777)
  chownSync(join(root, 'home/user'), 1000, 1000)
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n')
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nuser:x:1000:\nextra:x:44:user\n')
  symlinkSync('/bin/perl', join(root, 'usr/bin/perl'))
}

export interface OciWorld extends ExamWorld {
  driver: OciDriver
  reopen: () => Promise<OciDriver>
  options: OciOptions
  layer: string
  /** Whatever of this installation is on the machine outside its data directory: links, groups, rules, mounts, processes. */
  traces: () => string[]
}

let layer: string | undefined
/** One for all tests of a process; removed when it ends. */
function sharedLayer(): string {
  if (layer === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'slopbox-layer-'))
    chmodSync(made, 0o755)
    makeLayer(made)
    process.on('exit', () => rmSync(made, { recursive: true, force: true }))
    layer = made
  }
  return layer
}

export async function ociWorld(runtime: 'crun' | 'runc', changes: Partial<OciOptions> = {}): Promise<OciWorld> {
  // On a disk: what a sandbox writes to a tmpfs, as /tmp often is, counts against its memory.
  const directory = mkdtempSync('/var/tmp/slopbox-oci-')
  const egressCaFile = join(directory, 'ca.pem')
  writeFileSync(egressCaFile, '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n')
  const options: OciOptions = {
    runtime,
    dataDir: join(directory, 'data'),
    instance: randomBytes(2).toString('hex'),
    subnet: ownSubnet(),
    ports: { http: 1, tls: 2, proxy: 3, dns: 4 },
    networkFile: join(directory, 'network.json'),
    egressCaFile,
    log: silentLog,
    ...changes,
  }
  let driver = await ociDriver(options)
  const drivers = [driver]
  const traces = (): string[] => machineTraces(options.instance)
  return {
    driver,
    options,
    layer: sharedLayer(),
    reopen: async () => {
      driver = await ociDriver(options)
      drivers.push(driver)
      return driver
    },
    spec: (some) => ({ ...plainSpec(sharedLayer()), ...some }),
    echoServer: (port) => ['perl', '-e', echoScript, String(port)],
    emptyDirectory: () => mkdtempSync(join(directory, 'layer-')),
    hog: ['perl', '-e', 'my $x = "a" x (512 << 20); sleep 600'],
    async isGone(id) {
      return !traces().some((trace) => trace.includes(id)) && !existsSync(join(options.dataDir, 'sandboxes', id))
    },
    traces,
    async [Symbol.asyncDispose]() {
      await driver.purge()
      await Promise.all(drivers.map((one) => one[Symbol.asyncDispose]()))
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/**
 * Room for four links in the range for benchmarks (RFC 2544), which no real network uses. Chosen by process id, so that
 * test files that run side by side do not meet.
 */
function ownSubnet(): string {
  const offset = (100 + (process.pid % 8_000)) * 16
  return `198.${18 + (offset >> 16)}.${(offset >> 8) & 255}.${offset & 255}/28`
}

const plainSpec = (root: string): DriverSpec => ({
  template: { key: 'test', layers: [root], env: { LC_ALL: 'C' }, user: 'root', cwd: '/' },
  isolation: 'container',
  size: { cpus: 1, memoryMiB: 256, diskGiB: 1 },
  env: {},
  user: null,
  cwd: null,
  start: null,
  files: [],
  volumes: [],
  power: 'none',
})

/** perl-base has no socket module to speak of, but the calls themselves. */
const echoScript = `
  socket(my $server, 2, 1, 0); setsockopt($server, 1, 2, 1);
  bind($server, pack('S n x12', 2, $ARGV[0])) or die "bind: $!"; listen($server, 8);
  while (accept(my $client, $server)) { while (sysread($client, my $bytes, 65536)) { syswrite($client, $bytes) } }`

function machineTraces(instance: string): string[] {
  const groups = [...new Set(detectCgroups().roots.values())].flatMap((root) => {
    const parent = join(root, `slopbox-${instance}`)
    if (!existsSync(parent)) return []
    const children = readdirSync(parent, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    return [parent, ...children.map((entry) => join(parent, entry.name))]
  })
  const links = readdirSync('/sys/class/net').filter((name) => name.startsWith(`s${instance}`))
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(`slopbox-${instance}`))
  const tables = execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(instance))
  const run = `/run/slopbox-${instance}`
  const files = existsSync(run) ? readdirSync(run, { recursive: true, encoding: 'utf8' }).map((f) => join(run, f)) : []
  return [...groups, ...links, ...mounts, ...tables, ...files, ...processesOf(instance)]
}

/** Command lines that name the installation: helpers and runtimes. */
function processesOf(instance: string): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      const line = /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ') : ''
      return line.includes(`/run/slopbox-${instance}`) ? [`${pid}: ${line}`] : []
    } catch {
      // It ended while we looked.
      return []
    }
  })
}
