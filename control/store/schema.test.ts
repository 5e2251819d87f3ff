import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { migrate, openDatabase, removeExpired } from './db.ts'
import { emptyDatabase, testDatabase } from './testing.ts'

const database = await testDatabase()
after(() => database[Symbol.asyncDispose]())

test('every table and column has its line in schema.ts, and the other way round', async () => {
  const { rows } = await database.pool.query<{ column: string }>(`
    select table_name || '.' || column_name as column from information_schema.columns
    where table_schema = 'public' and table_name not like 'migrations%'`)
  assert.deepEqual(
    rows.map((row) => row.column).sort((a, b) => (a < b ? -1 : 1)),
    declaredColumns().sort((a, b) => (a < b ? -1 : 1)),
  )
})

test('migrations started together and again leave one schema and one default plan', async () => {
  const url = await emptyDatabase()
  const databases = [1, 2, 3].map(() => openDatabase(url, { max: 3, onError: assert.ifError }))
  await Promise.all(databases.map(migrate))
  for (const each of databases) {
    await migrate(each)
    const plans = await each.db.selectFrom('plans').select('name').where('is_default', '=', true).execute()
    assert.deepEqual(plans, [{ name: 'Standard' }])
    await each[Symbol.asyncDispose]()
  }
})

test('a total that a number cannot hold exactly is refused instead of rounded', async () => {
  await assert.rejects(database.pool.query('select 9007199254740993::bigint'), /does not fit/)
  const { rows } = await database.pool.query('select 9007199254740991::bigint as total')
  assert.deepEqual(rows, [{ total: 9_007_199_254_740_991 }])
})

test('expired sessions and links go, live ones stay', async () => {
  const { db } = database
  await db
    .insertInto('users')
    .values({ id: 'us0000000000000000', email: 'a@example.com', name: 'A', image: null })
    .execute()
  const session = { user_id: 'us0000000000000000', ip_address: null, user_agent: null }
  const [past, future] = [new Date(Date.now() - 1000), new Date(Date.now() + 60_000)]
  await db
    .insertInto('sessions')
    .values([
      { ...session, id: 'old', token: 'old', expires_at: past },
      { ...session, id: 'new', token: 'new', expires_at: future },
    ])
    .execute()
  await removeExpired(db)
  assert.deepEqual(await db.selectFrom('sessions').select('id').execute(), [{ id: 'new' }])
})

function declaredColumns(): string[] {
  const source = readFileSync(new URL('schema.ts', import.meta.url), 'utf8')
  const interfaces = new Map(
    [...source.matchAll(/export interface (\w+Table) \{\n([\s\S]*?)\n\}/g)].map((match) => [match[1], match[2] ?? '']),
  )
  const tables = [...source.matchAll(/^ {2}(\w+): (\w+Table)$/gm)]
  return tables.flatMap(([, table, name]) =>
    [...(interfaces.get(name ?? '') ?? '').matchAll(/^ {2}(\w+): /gm)].map((column) => `${table}.${column[1]}`),
  )
}
