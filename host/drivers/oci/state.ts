import { z } from 'zod'
import type { DriverSpec } from '../../driver.ts'
import { readIfThere, writeAtomic } from './layout.ts'
import type { SandboxPaths } from './layout.ts'

const Account = z.object({
  name: z.string(),
  uid: z.number(),
  gid: z.number(),
  groups: z.array(z.number()),
  home: z.string(),
})
/** A user as the sandbox's template knows it; ids as seen inside. */
export type Account = z.infer<typeof Account>

const Strings = z.record(z.string(), z.string())
const State = z.object({
  version: z.literal(1),
  slot: z.number(),
  specHash: z.string(),
  account: Account,
  spec: z.object({
    template: z.object({
      key: z.string(),
      layers: z.array(z.string()),
      env: Strings,
      user: z.string(),
      cwd: z.string(),
    }),
    isolation: z.enum(['container', 'gvisor', 'microvm', 'vm']),
    size: z.object({ cpus: z.number(), memoryMiB: z.number(), diskGiB: z.number() }),
    env: Strings,
    user: z.string().nullable(),
    cwd: z.string().nullable(),
    start: z.object({ command: z.array(z.string()), stopGraceMs: z.number() }).nullable(),
    files: z.array(z.object({ path: z.string(), content: z.string(), executable: z.boolean() })),
    volumes: z.array(z.object({ id: z.string(), path: z.string() })),
    power: z.enum(['none', 'build']),
  }),
})
/** What a sandbox is; written last by `create`, which makes it exist. */
export type State = Omit<z.infer<typeof State>, 'spec'> & { spec: DriverSpec }

const Exit = z.object({
  code: z.number().nullable(),
  signal: z.string().nullable(),
  outOfMemory: z.boolean(),
  outOfDisk: z.literal(true).optional(),
})
export type Exit = z.infer<typeof Exit>

const Run = z.object({
  /** `launching`: a helper may be at work; whatever of it is found later is swept away. */
  phase: z.enum(['launching', 'running', 'ended']),
  startedAt: z.string().nullable(),
  /** Only for `ended`; null after `stop`. */
  exit: Exit.nullable(),
  epoch: z.string(),
  /** CPU time of all runs of this epoch that have ended. */
  cpuMs: z.number(),
})
/** The latest run. One file, so that the end of a run and its CPU time are recorded in one step. */
export type Run = z.infer<typeof Run>

export async function readState(paths: SandboxPaths): Promise<State | undefined> {
  const text = await readIfThere(paths.state)
  return text === undefined ? undefined : State.parse(JSON.parse(text))
}

export const writeState = (paths: SandboxPaths, state: State): Promise<void> =>
  writeAtomic(paths.state, JSON.stringify(state))

export async function readRun(paths: SandboxPaths): Promise<Run> {
  const text = await readIfThere(paths.run)
  if (text === undefined) return { phase: 'ended', startedAt: null, exit: null, epoch: newEpoch(), cpuMs: 0 }
  return Run.parse(JSON.parse(text))
}

export const writeRun = (paths: SandboxPaths, run: Run): Promise<void> => writeAtomic(paths.run, JSON.stringify(run))

export const newEpoch = (): string => crypto.randomUUID()
