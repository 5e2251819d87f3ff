import { execFile, spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Say } from '../say.ts'

const run = promisify(execFile)

/** What everything is compared with: it does the same, by its own means. */
export interface Peer extends AsyncDisposable {
  name: string
  /** A running one; its id. */
  create(): Promise<string>
  exec(id: string, command: readonly string[]): Promise<void>
  pause(id: string): Promise<void>
  resume(id: string): Promise<void>
  remove(id: string): Promise<void>
}

const image = 'slopbox-bench:base'

/**
 * Docker with the same root file system: the layers of our template `base`, as one image. Null, after saying why, when
 * there is no daemon that answers.
 */
export async function dockerPeer(data: string, say: Say): Promise<Peer | null> {
  try {
    await run('docker', ['version', '--format', '{{.Server.Version}}'], { timeout: 10_000 })
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    say(missing ? 'no docker here: install the package docker.io to compare' : 'no docker daemon answers: start it')
    say('going on without a peer')
    return null
  }
  const root = baseRoot(data)
  if (root === null) {
    say('template base is not built: going on without a peer')
    return null
  }
  await importImage(root)
  const docker = async (...args: string[]): Promise<string> => (await run('docker', args)).stdout.trim()
  return {
    name: 'docker',
    create: () => docker('run', '-d', '--init', '--memory', '512m', '--cpus', '1', image, 'sleep', 'infinity'),
    exec: async (id, command) => void (await docker('exec', id, ...command)),
    pause: async (id) => void (await docker('pause', id)),
    resume: async (id) => void (await docker('unpause', id)),
    remove: async (id) => void (await docker('rm', '-f', id)),
    async [Symbol.asyncDispose]() {
      await docker('rmi', '-f', image)
    },
  }
}

function baseRoot(data: string): string | null {
  const templates = join(data, 'host', 'templates')
  const name = readdirSync(templates).find((each) => each.startsWith('base-'))
  return name === undefined ? null : join(templates, name, 'base')
}

async function importImage(root: string): Promise<void> {
  const tar = spawn('tar', ['-C', root, '-c', '.'], { stdio: ['ignore', 'pipe', 'ignore'] })
  const take = spawn('docker', ['import', '-', image], { stdio: ['pipe', 'ignore', 'ignore'] })
  tar.stdout.pipe(take.stdin)
  const code = await new Promise<number | null>((resolve, reject) => {
    for (const child of [tar, take]) child.on('error', reject)
    take.on('close', resolve)
  })
  if (code !== 0) throw new Error(`docker import ended with ${code}`)
}
