import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { spawnSync } from 'node:child_process'
import { readAccount, saveAccount } from './context.ts'
import { createProgram } from './main.ts'
import { bytes, printable, table } from './output.ts'

const main = fileURLToPath(new URL('main.ts', import.meta.url))

function home(t: { after(fn: () => void): void }): NodeJS.ProcessEnv {
  const directory = mkdtempSync(join(tmpdir(), 'slopbox-cli-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return { HOME: directory, XDG_CONFIG_HOME: directory }
}
const cli = (env: NodeJS.ProcessEnv, ...args: string[]): { status: number | null; stdout: string; stderr: string } =>
  spawnSync(process.execPath, [main, ...args], { env, encoding: 'utf8' })

test('without a key every command says how to sign in', (t) => {
  const { status, stderr } = cli(home(t), 'agent', 'list')
  assert.equal(status, 1)
  assert.match(stderr, /not signed in\n {2}Run `slopbox login`/)
})

test('with --json a failure is one JSON line on standard error', (t) => {
  const { stdout, stderr } = cli(home(t), '--json', 'agent', 'list')
  assert.equal(stdout, '')
  assert.equal(JSON.parse(stderr).error.code, 'unauthenticated')
})

test('an address where nobody listens is named', (t) => {
  const { status, stderr } = cli(
    { ...home(t), SLOPBOX_API_KEY: 'k', SLOPBOX_URL: 'http://127.0.0.1:1' },
    'agent',
    'list',
  )
  assert.equal(status, 1)
  assert.match(stderr, /no answer from http:\/\/127.0.0.1:1/)
})

for (const args of [['agent', 'creat'], ['agent', 'create', 'x'], ['agent', 'logs', 'x', '-n', 'many'], ['--nope']]) {
  test(`wrong usage ends with status 2: slopbox ${args.join(' ')}`, (t) => {
    const { status, stderr } = cli(home(t), ...args)
    assert.equal(status, 2)
    assert.match(stderr, /error: /)
  })
}

test('saved credentials are readable by their owner only, also over an older file', (t) => {
  const env = home(t)
  const file = saveAccount(env, { url: 'http://a.test', apiKey: 'k1' })
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.deepEqual(readAccount(env), { url: 'http://a.test', apiKey: 'k1', userId: undefined })
  assert.equal(readAccount({ ...env, SLOPBOX_API_KEY: 'k2' }).apiKey, 'k2')
  assert.match(readFileSync(file, 'utf8'), /"apiKey": "k1"/)
})

test('an unreadable configuration file is named, with the way out', (t) => {
  const env = home(t)
  writeFileSync(saveAccount(env, { url: 'http://a.test', apiKey: 'k1' }), '{')
  assert.throws(() => readAccount(env), /config\.json is not readable/)
})

test('every command has a description', () => {
  const bare: string[] = []
  const walk = (command: ReturnType<typeof createProgram>, path: string): void => {
    for (const child of command.commands) {
      if (child.description() === '') bare.push(`${path} ${child.name()}`)
      walk(child, `${path} ${child.name()}`)
    }
  }
  walk(createProgram({}), 'slopbox')
  assert.deepEqual(bare, [])
})

test('a stranger’s text cannot steer the terminal', () => {
  assert.equal(printable('a\u001b[2Jb'), 'a\\x1b[2Jb')
  assert.doesNotMatch(table(['N'], [['\u009b31m']], ''), /\u009b/)
})

const sizes = [
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.0 KiB'],
  [10 * 1024, '10 KiB'],
  [1024 ** 3 * 1.5, '1.5 GiB'],
  [1024 ** 5, '1024 TiB'],
] as const
for (const [n, text] of sizes) test(`${n} bytes read ${text}`, () => assert.equal(bytes(n), text))
