import { spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { OpsError, type Say } from '../say.ts'

export interface SystemPackage {
  /** Name on Debian and Ubuntu. */
  name: string
  why: string
  /** Programs on the path, or (with a slash) file patterns. Any one of them is enough. */
  anyOf: readonly string[]
  /** `run`: needed by `up`. `test`: needed by `test` as well. */
  neededBy: 'run' | 'test'
}

/** Everything Slopbox expects of the machine beyond Node and a Linux kernel. */
export const systemPackages: readonly SystemPackage[] = [
  { name: 'crun', why: 'starts sandboxes', anyOf: ['crun', 'runc'], neededBy: 'run' },
  { name: 'nftables', why: 'keeps sandboxes behind the egress gate', anyOf: ['nft'], neededBy: 'run' },
  { name: 'iproute2', why: "makes the sandboxes' links", anyOf: ['ip'], neededBy: 'run' },
  { name: 'catatonit', why: 'is the first process of every sandbox', anyOf: ['catatonit'], neededBy: 'run' },
  { name: 'conntrack', why: 'cuts flows that are no longer allowed', anyOf: ['conntrack'], neededBy: 'run' },
  { name: 'mmdebstrap', why: 'builds the base template', anyOf: ['mmdebstrap'], neededBy: 'run' },
  { name: 'uidmap', why: 'gives each sandbox its own range of user ids', anyOf: ['newuidmap'], neededBy: 'run' },
  { name: 'perl-base', why: 'runs the template builder', anyOf: ['perl'], neededBy: 'run' },
  {
    name: 'util-linux',
    why: 'drops privileges and separates mounts',
    anyOf: ['setpriv'],
    neededBy: 'run',
  },
  { name: 'mount', why: "joins the sandboxes' disks", anyOf: ['mount'], neededBy: 'run' },
  { name: 'passwd', why: 'makes the system users of the processes', anyOf: ['useradd'], neededBy: 'run' },
  {
    name: 'ca-certificates',
    why: 'knows which servers to trust',
    anyOf: ['/etc/ssl/certs/ca-certificates.crt'],
    neededBy: 'run',
  },
  {
    name: 'libnss-myhostname',
    why: 'resolves every name under localhost',
    anyOf: ['/lib/*/libnss_myhostname.so.2', '/usr/lib/*/libnss_myhostname.so.2'],
    neededBy: 'run',
  },
  {
    name: 'chromium',
    why: 'is the browser of the end-to-end test',
    anyOf: ['chromium', 'google-chrome'],
    neededBy: 'test',
  },
  {
    name: 'fonts-dejavu-core',
    why: 'lets the browser draw text',
    anyOf: ['/usr/share/fonts/truetype/*/*.ttf', '/usr/share/fonts/opentype/*/*.otf'],
    neededBy: 'test',
  },
  { name: 'runc', why: 'is the second container runtime the tests examine', anyOf: ['runc'], neededBy: 'test' },
  { name: 'procps', why: 'looks at processes inside sandboxes in tests', anyOf: ['ps'], neededBy: 'test' },
  { name: 'openssh-client', why: 'is the client of the tests of SSH', anyOf: ['ssh'], neededBy: 'test' },
  {
    name: 'openssh-sftp-server',
    why: 'is what templates answer scp with',
    anyOf: ['/usr/lib/openssh/sftp-server'],
    neededBy: 'test',
  },
  { name: 'curl', why: 'is a client of the end-to-end test', anyOf: ['curl'], neededBy: 'test' },
]

const searchPath = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

/** The full path of a program, looked up where root would find it. */
export function findProgram(name: string): string | null {
  return searchPath.map((directory) => join(directory, name)).find((path) => existsSync(path)) ?? null
}

export function missingPackages(neededBy: 'run' | 'test'): SystemPackage[] {
  return systemPackages.filter(
    (entry) =>
      (entry.neededBy === 'run' || neededBy === 'test') &&
      !entry.anyOf.some((probe) => (probe.includes('/') ? globSync(probe).length > 0 : findProgram(probe) !== null)),
  )
}

/** True on Debian and its relatives. */
export function hasApt(): boolean {
  if (findProgram('apt-get') === null || !existsSync('/etc/os-release')) return false
  return /^(ID|ID_LIKE)=.*(debian|ubuntu)/m.test(readFileSync('/etc/os-release', 'utf8'))
}

/** The one line that repairs it by hand. */
export function installLine(packages: readonly SystemPackage[], asRoot = process.getuid?.() === 0): string {
  const names = packages.map((entry) => entry.name).join(' ')
  return `${asRoot ? '' : 'sudo '}apt-get update && ${asRoot ? '' : 'sudo '}apt-get install -y ${names}`
}

/** Installs what is missing when that is possible here; otherwise says the line to run. */
export function ensurePackages(neededBy: 'run' | 'test', say: Say): void {
  const missing = missingPackages(neededBy)
  if (missing.length === 0) return
  const list = missing.map((entry) => `${entry.name} (${entry.why})`).join(', ')
  if (!hasApt()) {
    throw new OpsError(
      `missing on this machine: ${list}`,
      'Install them with the package manager of this distribution.',
    )
  }
  if (process.getuid?.() !== 0) throw new OpsError(`missing on this machine: ${list}`, `Run: ${installLine(missing)}`)
  say(`installing system packages: ${list}`)
  const quiet = ['-qq', '-o', 'Dpkg::Use-Pty=0', '-o', 'DPkg::Lock::Timeout=300']
  apt([...quiet, 'update'], 'apt-get update')
  const names = missing.map((entry) => entry.name)
  apt([...quiet, 'install', '-y', '--no-install-recommends', ...names], 'apt-get install')
  const still = missingPackages(neededBy)
  if (still.length > 0) {
    throw new OpsError(
      `still missing after the installation: ${still.map((entry) => entry.name).join(', ')}`,
      `Run: ${installLine(still)}`,
    )
  }
}

function apt(args: string[], what: string): void {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_MODE: 'a', LC_ALL: 'C.UTF-8' }
  const run = spawnSync('apt-get', args, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  if (run.status === 0) return
  const tail = `${run.stdout}${run.stderr}`.trim().split('\n').slice(-8).join('\n')
  throw new OpsError(
    `${what} failed:\n${tail}`,
    'Check the package sources in /etc/apt and the network, then run it again.',
  )
}
