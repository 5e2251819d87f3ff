import { Kysely, Migrator, PostgresDialect, sql } from 'kysely'
import type { Migration, Transaction } from 'kysely'
import pg from 'pg'
import { SlopboxError } from '../../contract/errors.ts'
import { init } from './migrations/0001-init.ts'
import { sandboxTime } from './migrations/0002-sandbox-time.ts'
import type { Schema } from './schema.ts'

export type Db = Kysely<Schema>
export type Tx = Transaction<Schema>

/** In order of their names; a published one is never changed, only followed by another. */
const migrations: Record<string, Migration> = { '0001-init': init, '0002-sandbox-time': sandboxTime }

export interface Database extends AsyncDisposable {
  db: Db
  pool: pg.Pool
}

export function openDatabase(url: string, options: { max?: number; onError: (error: Error) => void }): Database {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.max ?? 20,
    connectionTimeoutMillis: 10_000,
    types: { getTypeParser },
  })
  // An idle connection that breaks (a database restart) is replaced by the pool; unheard, the event would end the process.
  pool.on('error', options.onError)
  // The same for a connection in use: its query is rejected as well, which is where the failure is dealt with.
  pool.on('connect', (client) => void client.on('error', () => {}))
  const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) })
  return { db, pool, [Symbol.asyncDispose]: () => db.destroy() }
}

/** Brings the schema up to date. Safe to call from several processes at once and again: the others wait, then find nothing to do. */
export async function migrate(database: Database): Promise<void> {
  const client = await database.pool.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [migrationLock])
    const migrator = new Migrator({
      db: database.db,
      provider: { getMigrations: () => Promise.resolve(migrations) },
      migrationTableName: 'migrations',
      migrationLockTableName: 'migrations_lock',
    })
    const { error, results } = await migrator.migrateToLatest()
    const failed = results?.find((result) => result.status === 'Error')
    if (error !== undefined)
      throw new Error(`migration ${failed?.migrationName ?? 'of the database'} did not apply`, { cause: error })
  } finally {
    await client.query('select pg_advisory_unlock($1)', [migrationLock])
    client.release()
  }
}

/** For JSON columns: their insert type is text, so that arrays are not taken for PostgreSQL arrays. */
export function json(value: unknown): string {
  return JSON.stringify(value)
}

/** True when the error is PostgreSQL's for a broken unique constraint or index, of the given name if one is given. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  return (
    error instanceof pg.DatabaseError &&
    error.code === '23505' &&
    (constraint === undefined || error.constraint === constraint)
  )
}

/**
 * The caller's answer when the database is away: codes of PostgreSQL (classes 08, 53, 57P and 3D) and of the system, and
 * the driver's own messages, which have no code. Undefined for every other error.
 */
export function explainDatabaseFault(error: unknown): SlopboxError | undefined {
  if (!(error instanceof Error) || error instanceof SlopboxError) return undefined
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const away =
    /^(08|53|57P|3D)/.test(code) ||
    ['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE'].includes(code) ||
    /^(Connection terminated|timeout exceeded when trying to connect)/.test(error.message)
  return away ? new SlopboxError('unavailable', 'the database does not answer', { cause: error }) : undefined
}

/** Deletes rows nobody can ask for any more. */
export async function removeExpired(db: Db): Promise<void> {
  await db
    .deleteFrom('idempotency_keys')
    .where('created_at', '<', sql<Date>`now() - interval '24 hours'`)
    .execute()
  await db
    .deleteFrom('sign_in_links')
    .where('expires_at', '<', sql<Date>`now() - interval '1 day'`)
    .execute()
  await db
    .deleteFrom('sessions')
    .where('expires_at', '<', sql<Date>`now()`)
    .execute()
  await db
    .deleteFrom('verifications')
    .where('expires_at', '<', sql<Date>`now()`)
    .execute()
}

/** Any constant, the same in every version: PostgreSQL's advisory locks are numbers. */
const migrationLock = 740_613_001

/** bigint and numeric as numbers, refusing what a number cannot hold exactly; `date` as its text. */
function getTypeParser(id: number, format?: 'text' | 'binary'): (value: string) => unknown {
  const { INT8, NUMERIC, DATE } = pg.types.builtins
  if (id === INT8 || id === NUMERIC) return safeNumber
  if (id === DATE) return (value) => value
  return pg.types.getTypeParser(id, format as 'text') as (value: string) => unknown
}

function safeNumber(value: string): number {
  const parsed = Number(value)
  if (Math.abs(parsed) > Number.MAX_SAFE_INTEGER)
    throw new RangeError(`${value} from the database does not fit a number`)
  return parsed
}
