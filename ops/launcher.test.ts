import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { appDirectory } from './paths.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'slopbox-launcher-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function launch(program: string, args: string[], env: Record<string, string> = {}) {
  const run = spawnSync(program, args, {
    encoding: 'utf8',
    cwd: directory,
    env: { PATH: process.env['PATH'] ?? '', HOME: directory, ...env },
  })
  return { status: run.status, out: run.stdout, err: run.stderr }
}
const launcher = join(appDirectory, 'slopbox')

/** The launcher in a clone whose dependencies are not installed. */
function bareClone(): string {
  const clone = join(directory, 'clone')
  mkdirSync(join(clone, 'ops'), { recursive: true })
  copyFileSync(launcher, join(clone, 'slopbox'))
  copyFileSync(join(appDirectory, 'ops', 'bootstrap.mjs'), join(clone, 'ops', 'bootstrap.mjs'))
  writeFileSync(join(clone, 'package-lock.json'), '{}')
  return clone
}

function programs(scripts: Record<string, string>): string {
  const bin = join(directory, 'bin')
  mkdirSync(bin)
  for (const [name, script] of Object.entries(scripts))
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  for (const name of ['sh', 'ls', 'dirname', 'cmp']) symlinkSync(`/bin/${name}`, join(bin, name))
  return bin
}

test('it finds its clone through any number of links', () => {
  symlinkSync(launcher, join(directory, 'one'))
  mkdirSync(join(directory, 'deep'))
  symlinkSync('../one', join(directory, 'deep', 'two'))
  const { status, out, err } = launch(join(directory, 'deep', 'two'), ['help', 'up'])
  assert.equal(status, 0, err)
  assert.match(out, /slopbox up \[--data DIR\]/)
})

for (const word of ['help', '--help', '-h', '']) {
  test(`\`slopbox ${word}\` lists the commands of the machine and of the API`, () => {
    const { status, out } = launch(launcher, word === '' ? [] : [word])
    assert.equal(status, 0)
    for (const command of ['up', 'doctor', 'agent', 'secret', 'allow'])
      assert.match(out, new RegExp(`^  ${command}\\b`, 'm'))
  })
}

test('an unknown option stops the start and is named', () => {
  const { status, out, err } = launch(launcher, ['up', '--prot', '1'])
  assert.equal(status, 1)
  assert.equal(out, '')
  assert.match(err, /^slopbox: Unknown option '--prot'\n {2}Usage: slopbox up/)
})

test('an unknown variable stops the start and is named', () => {
  const { status, err } = launch(launcher, ['up'], { SLOPBOX_PROT: '1' })
  assert.equal(status, 1)
  assert.match(err, /SLOPBOX_PROT/)
})

test('an unknown command is named', () => {
  const { status, err } = launch(launcher, ['dwon'])
  assert.notEqual(status, 0)
  assert.match(err, /dwon/)
})

test('a machine without Node is told how to get it', () => {
  const clone = bareClone()
  const { status, err } = launch(join(clone, 'slopbox'), ['up'], { PATH: programs({}) })
  assert.equal(status, 1)
  assert.match(err, /^slopbox: Node\.js is not installed\n {2}Install Node\.js 20 or newer/)
})

test('a machine with an old Node is told so', () => {
  const clone = bareClone()
  const { status, err } = launch(join(clone, 'slopbox'), ['up'], { PATH: programs({ node: 'echo 18' }) })
  assert.equal(status, 1)
  assert.match(err, /^slopbox: Node\.js 18 at .* is too old/)
})

test('nothing runs: status says so and down has nothing to do', () => {
  assert.equal(launch(launcher, ['status']).status, 3)
  const { status, err } = launch(launcher, ['down', '--data', join(directory, 'none')])
  assert.equal(status, 0)
  assert.match(err, /nothing runs on/)
})

test('logs of a process that does not exist are refused by name, and the others listed', () => {
  mkdirSync(join(directory, '.slopbox', 'logs'), { recursive: true })
  writeFileSync(join(directory, '.slopbox', 'logs', 'host.log'), 'one\ntwo\n')
  assert.equal(launch(launcher, ['logs', '-n', '1']).out, 'two\n')
  const { status, err } = launch(launcher, ['logs', 'ghost'])
  assert.equal(status, 1)
  assert.match(err, /no log of ghost[^]*There are: host/)
})
