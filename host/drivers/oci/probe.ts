import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { baseId, initProgram } from './bundle.ts'
import { detectCgroups } from './cgroups.ts'
import { planArguments } from './launch.ts'
import { toolEnv } from './process.ts'

export interface Lack {
  /** What is missing, as a fragment of a sentence. */
  what: string
  /** Debian and Ubuntu package that has it; null when no package helps. */
  package: string | null
}

/** What this machine lacks for the driver, with data in `directory`; empty when sandboxes can run. */
export function lacksForOci(runtime: 'crun' | 'runc', directory: string): Lack[] {
  const lacks: Lack[] = []
  const need = (have: boolean, what: string, name: string | null): void => {
    if (!have) lacks.push({ what, package: name })
  }
  need(process.getuid?.() === 0, 'root', null)
  need(hasProgram(runtime), runtime, runtime)
  need(hasProgram('nft'), 'nft', 'nftables')
  need(hasProgram('ip'), 'ip', 'iproute2')
  need(hasProgram('perl'), 'perl', 'perl-base')
  need(existsSync(initProgram), 'catatonit', 'catatonit')
  need(['x64', 'arm64'].includes(process.arch), `an x86-64 or arm64 processor (this is ${process.arch})`, null)
  need(existsSync('/proc/self/ns/user'), 'user namespaces in the kernel', null)
  need(canLimit(), 'control groups that can be written', null)
  if (lacks.length === 0) {
    const fault = tryRoot(directory)
    need(fault === null, `file system in ${directory} for sandboxes: ext4, xfs or btrfs is needed (${fault})`, null)
  }
  return lacks
}

/** Makes a sandbox's root as `start` will. The mounts live and die with the helper. */
function tryRoot(directory: string): string | null {
  const probe = mkdtempSync(join(directory, 'probe-'))
  try {
    for (const name of ['stage', 'lower', 'data/upper', 'data/work']) mkdirSync(join(probe, name), { recursive: true })
    const plan = planArguments([
      ['stage', join(probe, 'stage')],
      ['map', String(baseId(0))],
      ['clone', join(probe, 'lower'), 'lower'],
      ['clone', join(probe, 'data'), 'data'],
      ['overlay', 'root', 'lowerdir=lower,upperdir=data/upper,workdir=data/work'],
      // Overlay falls back to read-only instead of failing.
      ['run', 'test', '-w', 'root'],
    ])
    const { stdout } = spawnSync('perl', plan, { env: toolEnv, encoding: 'utf8', timeout: 10_000 })
    return stdout === 'ok\n' ? null : stdout.replace(/^error /, '').trim()
  } finally {
    rmSync(probe, { recursive: true, force: true })
  }
}

/** The lacks as one sentence with the next step, or undefined when there are none. */
export function whyNoOci(runtime: 'crun' | 'runc', directory = tmpdir()): string | undefined {
  const lacks = lacksForOci(runtime, directory)
  if (lacks.length === 0) return undefined
  const packages = lacks.flatMap((lack) => lack.package ?? [])
  const step = packages.length === 0 ? '' : `; install ${packages.join(', ')}`
  return `this machine has no ${lacks.map((lack) => lack.what).join(', no ')}${step}`
}

const hasProgram = (name: string): boolean =>
  toolEnv.PATH.split(delimiter).some((directory) => existsSync(join(directory, name)))

function canLimit(): boolean {
  try {
    for (const root of detectCgroups().roots.values()) accessSync(root, constants.W_OK)
    return true
  } catch {
    return false
  }
}
