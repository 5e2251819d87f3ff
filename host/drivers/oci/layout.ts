import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Where everything of one installation lies. Only `dataDir` survives a restart of the machine. */
export interface Layout {
  instance: string
  dataDir: string
  /** On a tmpfs: the runtime's own state, process ids, exec requests. */
  runDir: string
}

export const layoutOf = (instance: string, dataDir: string): Layout => ({
  instance,
  dataDir,
  runDir: `/run/slopbox-${instance}`,
})

/** The paths of one sandbox. */
export interface SandboxPaths {
  dir: string
  /** Holds `upper` and `work` of the root's overlay; mode 0700, because owners in it are as seen inside. */
  data: string
  /** Appears as /etc/slopbox. */
  etc: string
  net: string
  bundle: string
  state: string
  run: string
  output: string
  outputOld: string
  exit: string
  /** There when the latest run was stopped for its disk; what it occupied. */
  diskFull: string
  /** What a run occupied that was stopped for its disk before: the next ones may keep it. */
  diskAllowed: string
  lock: string
  pidFile: string
  runtimeLog: string
}

export function pathsOf(layout: Layout, id: string): SandboxPaths {
  const dir = join(layout.dataDir, 'sandboxes', id)
  return {
    dir,
    data: join(dir, 'data'),
    etc: join(dir, 'etc'),
    net: join(dir, 'net'),
    bundle: join(dir, 'bundle'),
    state: join(dir, 'state.json'),
    run: join(dir, 'run.json'),
    output: join(dir, 'output.log'),
    outputOld: join(dir, 'output.log.1'),
    exit: join(dir, 'exit'),
    diskFull: join(dir, 'disk-full'),
    diskAllowed: join(dir, 'disk-allowed'),
    lock: join(dir, 'lock'),
    pidFile: join(layout.runDir, 'pids', id),
    runtimeLog: join(layout.runDir, 'pids', `${id}.log`),
  }
}

export const volumePath = (layout: Layout, volume: string): string => join(layout.dataDir, 'volumes', volume)

export async function makeLayout(layout: Layout): Promise<void> {
  // 0700 down to the disks: set-user-id files of tenants lie there with owners as seen inside.
  for (const dir of ['sandboxes', 'volumes']) await mkdir(join(layout.dataDir, dir), { recursive: true, mode: 0o700 })
  await mkdir(layout.runDir, { recursive: true, mode: 0o711 })
  // The root is mounted elsewhere; runc wants to see a directory of that name all the same.
  await mkdir(join(layout.runDir, 'stage/root'), { recursive: true, mode: 0o711 })
  for (const dir of ['runtime', 'pids']) await mkdir(join(layout.runDir, dir), { recursive: true, mode: 0o700 })
}

let writes = 0
/** Replaces a file in one step: readers see the old or the new text, never a part. */
export async function writeAtomic(path: string, text: string, mode = 0o600): Promise<void> {
  const fresh = `${path}.${process.pid}.${++writes}.new`
  try {
    await writeFile(fresh, text, { mode })
    await rename(fresh, path)
  } catch (error) {
    await rm(fresh, { force: true })
    throw error
  }
}

/** The file's text, or undefined when there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

export const errorCode = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

/** ESRCH: a file below /proc whose process ended while it was read. */
export const isMissing = (error: unknown): boolean => ['ENOENT', 'ESRCH', 'ENODEV'].includes(errorCode(error) ?? '')
