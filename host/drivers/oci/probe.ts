import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { initProgram } from './bundle.ts'
import { detectCgroups } from './cgroups.ts'
import { toolEnv } from './process.ts'

export interface Lack {
  /** What is missing, as a fragment of a sentence. */
  what: string
  /** Debian and Ubuntu package that has it; null when no package helps. */
  package: string | null
}

/** What this machine lacks for the driver; empty when sandboxes can run. */
export function lacksForOci(runtime: 'crun' | 'runc'): Lack[] {
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
  return lacks
}

/** The lacks as one sentence with the next step, or undefined when there are none. */
export function whyNoOci(runtime: 'crun' | 'runc'): string | undefined {
  const lacks = lacksForOci(runtime)
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
