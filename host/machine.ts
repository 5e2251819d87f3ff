import { execFile } from 'node:child_process'
import { statfs } from 'node:fs/promises'
import { availableParallelism, totalmem, userInfo } from 'node:os'
import { promisify } from 'node:util'
import type { Log } from '../lib/log.ts'
import { readRegistries, type Registries } from './registries.ts'

const run = promisify(execFile)
const npmMs = 20_000
const bytesPerMiB = 1024 ** 2
const bytesPerGiB = 1024 ** 3

export interface Capacity {
  cpus: number
  memoryMiB: number
  diskGiB: number
}

/** What this machine has in all; disk is that of the file system the sandboxes are on. */
export async function readCapacity(dataDirectory: string): Promise<Capacity> {
  const disk = await statfs(dataDirectory)
  return {
    cpus: availableParallelism(),
    memoryMiB: Math.floor(totalmem() / bytesPerMiB),
    diskGiB: Math.floor((disk.bsize * disk.blocks) / bytesPerGiB),
  }
}

/** The registries of this machine; npm is asked itself, since its configuration has many places. */
export async function readMachineRegistries(
  env: Readonly<Record<string, string | undefined>>,
  log: Log,
): Promise<Registries> {
  return readRegistries('/', await readNpmConfig(env, log))
}

async function readNpmConfig(
  env: Readonly<Record<string, string | undefined>>,
  log: Log,
): Promise<Readonly<Record<string, unknown>>> {
  const own = Object.entries(env).filter(([name]) => /^npm_config_/i.test(name))
  const path = env['PATH'] ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
  try {
    const { stdout } = await run('npm', ['config', 'list', '--json', '--logs-max=0'], {
      cwd: '/',
      timeout: npmMs,
      env: { ...Object.fromEntries(own), PATH: path, HOME: userInfo().homedir },
    })
    const config: unknown = JSON.parse(stdout)
    return typeof config === 'object' && config !== null ? { ...config } : {}
  } catch (error) {
    log.warn({ err: error }, 'npm could not be asked for its registry: builds cannot install packages from one')
    return {}
  }
}
