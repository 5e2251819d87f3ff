import { spawnSync } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import { existsSync, globSync, readFileSync, statfsSync } from 'node:fs'
import { freemem, release, totalmem } from 'node:os'
import { dirname } from 'node:path'
import { currentHolder } from '../lock.ts'
import { OpsError } from '../say.ts'
import { findProgram, installLine, missingPackages } from '../setup/packages.ts'
import { holderOf, isFree } from '../setup/ports.ts'

export interface Finding {
  name: string
  /** `missing` stops `up`; `limited` means that something optional is not there. */
  verdict: 'ok' | 'limited' | 'missing'
  detail: string
  /** How to get it; null when nothing is to be done. */
  fix: string | null
}

const finding = (name: string, verdict: Finding['verdict'], detail: string, fix: string | null = null): Finding => ({
  name,
  verdict,
  detail,
  fix,
})
const yes = (name: string, detail: string): Finding => finding(name, 'ok', detail)

function output(program: string, args: string[]): { ok: boolean; text: string } {
  const run = spawnSync(program, args, { encoding: 'utf8', timeout: 10_000 })
  return { ok: run.status === 0, text: `${run.stdout ?? ''}${run.stderr ?? run.error?.message ?? ''}`.trim() }
}

/** Overlay file systems on id-mapped mounts, which let sandboxes share one template with ids of their own. */
export function kernel(version = release()): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > 5 || (major === 5 && minor >= 19)) return yes('kernel', version)
  return finding(
    'kernel',
    'missing',
    `${version} is older than 5.19`,
    'Boot a newer kernel: Debian 12 and Ubuntu 24.04 bring one.',
  )
}

export function root(): Finding {
  const isRoot = process.getuid?.() === 0
  const bits = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`)
  // Bits of linux/capability.h.
  const lacking = Object.entries({ CAP_SYS_ADMIN: 21n, CAP_NET_ADMIN: 12n }).filter(
    ([, bit]) => ((bits >> bit) & 1n) === 0n,
  )
  if (isRoot && lacking.length === 0) return yes('root', 'with the rights to mount and to set up networks')
  if (!isRoot) return finding('root', 'missing', `running as user ${process.getuid?.()}`, 'Run with sudo.')
  const names = lacking.map(([name]) => name).join(', ')
  return finding('root', 'missing', `root without ${names}`, 'Run on the machine itself or in a privileged container.')
}

export function cgroups(): Finding {
  const base = '/sys/fs/cgroup'
  const v2 = existsSync(`${base}/cgroup.controllers`)
  const controllers = v2
    ? readFileSync(`${base}/cgroup.controllers`, 'utf8').trim().split(' ')
    : globSync(`${base}/*`).map((path) => path.split('/').at(-1) ?? '')
  const lacking = ['cpu', 'memory', 'pids'].filter((name) => !controllers.includes(name))
  const kind = v2 ? 'version 2' : existsSync(`${base}/unified`) ? 'version 1 (hybrid)' : 'version 1'
  if (lacking.length === 0) return yes('cgroups', `${kind}, with cpu, memory and pids`)
  return finding(
    'cgroups',
    'missing',
    `${kind}, without ${lacking.join(', ')}`,
    'Enable them on the kernel command line, for example `cgroup_enable=memory`.',
  )
}

export function userNamespaces(): Finding {
  const run = output('unshare', ['--user', '--map-root-user', 'true'])
  if (run.ok) return yes('user namespaces', 'allowed')
  return finding('user namespaces', 'missing', run.text, 'sysctl -w user.max_user_namespaces=15000')
}

export function overlay(): Finding {
  if (/\toverlay$/m.test(readFileSync('/proc/filesystems', 'utf8'))) return yes('overlay', 'in the kernel')
  return output('modprobe', ['overlay']).ok
    ? yes('overlay', 'as a module')
    : finding(
        'overlay',
        'missing',
        'the overlay file system is not in this kernel',
        'Install the modules of this kernel.',
      )
}

export function firewall(): Finding {
  if (findProgram('nft') === null)
    return finding('firewall', 'missing', 'nft is not installed', installLine(missingPackages('run')))
  const run = output('nft', ['list', 'tables'])
  return run.ok
    ? yes('firewall', 'nftables')
    : finding('firewall', 'missing', run.text, 'Load nf_tables, or run as root.')
}

export function packages(): Finding {
  const missing = missingPackages('run')
  if (missing.length === 0) return yes('packages', 'all there')
  const names = missing.map((entry) => `${entry.name} (${entry.why})`).join(', ')
  return finding('packages', 'missing', names, installLine(missing))
}

/** What sandboxes can be isolated with here. One of crun and runc is needed. */
export function runtimes(): Finding[] {
  const container = ['crun', 'runc'].filter((name) => findProgram(name) !== null)
  const found = container.map((name) =>
    `${name} ${/version (\S+)/.exec(output(name, ['--version']).text)?.[1] ?? ''}`.trim(),
  )
  return [
    container.length > 0
      ? yes('isolation container', found.join(', '))
      : finding('isolation container', 'missing', 'neither crun nor runc', 'apt-get install -y crun'),
    ...['gvisor', 'microvm'].map((name) =>
      finding(
        `isolation ${name}`,
        'limited',
        'not offered by this version',
        'See docs/isolation.md for what it lacks.',
      ),
    ),
  ]
}

export function disk(data: string): Finding {
  let place = data
  while (!existsSync(place)) place = dirname(place)
  const { bavail, bsize } = statfsSync(place)
  const gibibytes = (bavail * bsize) / 1024 ** 3
  const detail = `${gibibytes.toFixed(1)} GiB free at ${place}`
  if (gibibytes >= 10) return yes('disk', detail)
  const verdict = gibibytes < 4 ? 'missing' : 'limited'
  return finding(
    'disk',
    verdict,
    detail,
    'Templates take about 2 GiB, each sandbox what it writes. Free some, or use --data elsewhere.',
  )
}

export function memory(): Finding {
  const [total, free] = [totalmem() / 1024 ** 3, freemem() / 1024 ** 3]
  const detail = `${total.toFixed(1)} GiB, ${free.toFixed(1)} free`
  return total >= 3.5
    ? yes('memory', detail)
    : finding('memory', 'limited', detail, 'An agent takes about 1 GiB: 4 GiB carry two.')
}

export async function port(number: number, lockFile: string): Promise<Finding> {
  if (await isFree(number, '127.0.0.1')) return yes('port', `${number} is free`)
  if (currentHolder(lockFile) !== null) return yes('port', `${number} is ours`)
  const holder = holderOf(number)
  return finding(
    'port',
    'limited',
    `${number} is taken${holder === null ? '' : ` by ${holder}`}`,
    '`slopbox up` picks a free one, or give one with --port.',
  )
}

/** Names under localhost are this machine's (RFC 6761 §6.3), but not every resolver knows. */
export async function names(domain: string): Promise<Finding> {
  const name = `test.agent.${domain}`
  try {
    const { address } = await lookup(name)
    return yes('names', `${name} is ${address}`)
  } catch {
    return finding(
      'names',
      'limited',
      `${name} does not resolve`,
      'apt-get install -y libnss-myhostname; browsers and curl know such names by themselves.',
    )
  }
}

/** Where templates get their packages from: this machine's own configuration, without credentials. */
export function registries(): Finding[] {
  const npm = output('npm', ['config', 'get', 'registry'])
  const npmAddress = npm.text.split('\n').find((line) => line.startsWith('http'))
  const files = globSync('/etc/apt/{sources.list,sources.list.d/*.{list,sources}}')
  const hosts = files.flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/^(?:deb\s|URIs:)[^\n]*?https?:\/\/(?:[^@\s/]*@)?([^\s/]+)/gm)].map(
      (match) => match[1] ?? '',
    ),
  )
  return [
    npmAddress === undefined
      ? finding('registry npm', 'limited', 'npm names no registry', 'npm config set registry URL')
      : yes('registry npm', npmAddress.replace(/\/\/[^@/]*@/, '//')),
    hosts.length === 0
      ? finding(
          'registry apt',
          'limited',
          'no package sources in /etc/apt',
          'The base template needs a Debian or Ubuntu mirror.',
        )
      : yes('registry apt', [...new Set(hosts)].join(', ')),
  ]
}

/** What the default driver cannot do without, beyond packages. Throws with the first lack and the way to get it. */
export function requireMachine(): void {
  for (const probe of [kernel, cgroups, userNamespaces, overlay, firewall]) {
    const { name, verdict, detail, fix } = probe()
    if (verdict === 'missing') throw new OpsError(`this machine cannot run sandboxes: ${name}: ${detail}`, fix)
  }
}
