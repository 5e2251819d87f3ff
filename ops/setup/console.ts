import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, existsSync, globSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { OpsError, type Say } from '../say.ts'

const stampName = '.built-from'

/** Builds the web console once for its sources. A clone without them (an API-only machine) goes on without a console. */
export async function ensureConsole(app: string, say: Say): Promise<void> {
  if (!existsSync(join(app, 'console', 'index.html'))) return say('no console in this clone; the API works without it')
  const wanted = sourcesDigest(app)
  if (builtFrom(app) === wanted) return
  try {
    mkdirSync(join(app, '.cache'), { recursive: true })
    const lock = openSync(join(app, '.cache', 'console.lock'), 'w')
    spawnSync('flock', ['-w', '300', '3'], { stdio: ['ignore', 'ignore', 'ignore', lock] })
    if (builtFrom(app) !== wanted) {
      say('building the console')
      const failure = await build(app)
      if (failure === null) writeFileSync(join(app, 'console', 'dist', stampName), wanted)
      else say(`the console could not be built, the API works without it:\n${failure}`)
    }
    closeSync(lock)
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    if (code !== 'EROFS' && code !== 'EACCES' && code !== 'EPERM') throw cause
    throw new OpsError(
      `${join(app, 'console')} cannot be written, and its build is missing or old`,
      'Run `./slopbox up` once as its owner.',
    )
  }
}

function builtFrom(app: string): string | null {
  const file = join(app, 'console', 'dist', stampName)
  return existsSync(file) ? readFileSync(file, 'utf8') : null
}

/** Names and contents of everything the build reads. */
function sourcesDigest(app: string): string {
  const patterns = ['console/**/*.{ts,tsx,css,html,svg,png,json}', 'contract/*.ts', 'core/**/*.ts', 'sdk/*.ts']
  const files = globSync(patterns, { cwd: app, exclude: ['console/dist/**', '**/node_modules/**', '**/*.test.ts'] })
  const hash = createHash('sha256')
  for (const file of [...files.toSorted(), 'package-lock.json']) {
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(app, file)))
      .update('\0')
  }
  return hash.digest('hex')
}

/** Null, or the builder's last words. */
function build(app: string): Promise<string | null> {
  const vite = join(app, 'node_modules', 'vite', 'bin', 'vite.js')
  const args = [vite, 'build', '--config', join(app, 'console', 'vite.config.ts'), '--logLevel', 'warn']
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SLOPBOX_')))
  const child = spawn(process.execPath, args, {
    cwd: app,
    env: { ...env, NODE_ENV: 'production' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      const lines = stripVTControlCharacters(Buffer.concat(output).toString('utf8')).trim().split('\n')
      resolve(code === 0 ? null : lines.slice(0, 12).join('\n'))
    })
  })
}
