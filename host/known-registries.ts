import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import type { Log } from '../lib/log.ts'
import { hashOf } from './hash.ts'
import type { Registries } from './registries.ts'

const Kept = z.object({
  hosts: z.array(z.string()),
  codename: z.string(),
  apt: z.array(
    z.object({
      uri: z.string(),
      suites: z.array(z.string()),
      components: z.array(z.string()),
      signedBy: z.string().nullable(),
    }),
  ),
  npmrc: z.string(),
})

/** The machine's registries. Asking npm takes a second, so a start goes on with what was found last time. */
export interface KnownRegistries {
  current(): Registries
  /** Reads the configuration again. */
  refresh(): Promise<Registries>
}

export async function openKnownRegistries(deps: {
  path: string
  read: () => Promise<Registries>
  onChange: () => void
  log: Log
}): Promise<KnownRegistries> {
  const kept = readKept(deps.path)
  let current: Registries = kept ?? { hosts: [], codename: '', apt: [], npmrc: '' }
  const refresh = async (): Promise<Registries> => {
    const next = await deps.read()
    if (hashOf(next) === hashOf(current)) return current
    writeFileAtomic(deps.path, JSON.stringify(next))
    current = next
    deps.onChange()
    return next
  }
  if (kept === undefined) await refresh()
  else refresh().catch((error: unknown) => deps.log.warn({ err: error }, 'registries of this machine are unreadable'))
  return { current: () => current, refresh }
}

/** Undefined also when it is unreadable: it is found out anew then. */
function readKept(path: string): Registries | undefined {
  try {
    return Kept.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return undefined
  }
}
