import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { OpsError } from '../say.ts'
import { Child, type ChildSpec } from './child.ts'
import { LogFile } from './log-file.ts'
import { livingProcesses } from './process-table.ts'
import { supervise } from './supervisor.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'slopbox-child-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const shell = (name: string, script: string): ChildSpec => ({
  name,
  argv: ['/bin/sh', '-c', script],
  env: { PATH: '/usr/bin:/bin', DIR: directory },
  logFile: join(directory, `${name}.log`),
  ready: 'line',
  readyTimeoutMs: 20_000,
  stopSignal: 'SIGTERM',
  stopTimeoutMs: 5000,
  oomScoreAdj: 0,
})
const readyThen = (what: string): string => `echo ready >&3; ${what}`
const serve = readyThen('while :; do sleep 5 & wait $!; done')

test('a process that dies is started again and what it wrote is in its log', async () => {
  const pids: number[] = []
  const twice = Promise.withResolvers<void>()
  const spec = shell('steady', readyThen('echo hello from $$; [ -e $DIR/second ] && exec sleep 600; touch $DIR/second'))
  const child = new Child(spec, {
    onStart: (pid) => {
      pids.push(pid)
      if (pids.length === 2) twice.resolve()
    },
  })
  await child.ready()
  await twice.promise
  assert.equal(child.restarts, 1)
  assert.equal(child.pid, pids[1])
  await child[Symbol.asyncDispose]()
  assert.equal(child.pid, null)
  assert.match(readFileSync(spec.logFile, 'utf8'), new RegExp(`hello from ${pids[0]}\n`))
})

test('a process that ends before it serves is not started again, and its last words are told', async () => {
  await using child = new Child(shell('broken', 'echo "no such table: users" >&2; exit 3'))
  await assert.rejects(child.ready(), (error) => {
    assert.ok(error instanceof OpsError)
    assert.equal(error.message, 'broken ended with code 3')
    assert.match(error.hint ?? '', /no such table: users/)
    return true
  })
})

test('a process that never serves is given up on', async () => {
  await using child = new Child({ ...shell('silent', 'exec sleep 600'), readyTimeoutMs: 50 })
  await assert.rejects(child.ready(), /silent did not serve within 0 s/)
})

test('a program that does not exist is named', async () => {
  await using child = new Child({ ...shell('absent', ''), argv: ['/nonexistent/program'] })
  await assert.rejects(child.ready(), /absent could not be started: .*ENOENT/)
})

test('a process that ignores the signal to stop is killed', async () => {
  const spec = { ...shell('stubborn', `trap "" TERM; ${serve}`), stopTimeoutMs: 100 }
  const child = new Child(spec)
  await child.ready()
  await child[Symbol.asyncDispose]()
  assert.equal(child.pid, null)
})

test('groups start in order and stop in reverse', async () => {
  const table = join(directory, 'processes.json')
  const mark = (name: string): ChildSpec =>
    shell(name, `trap 'echo -${name} >> $DIR/order; exit 0' TERM; echo +${name} >> $DIR/order; ${serve}`)
  const system = await supervise([[mark('one')], [mark('two')]], table, () => {}, new AbortController().signal)
  assert.deepEqual(
    livingProcesses(table).map((entry) => entry.name),
    ['one', 'two'],
  )
  await system[Symbol.asyncDispose]()
  assert.deepEqual(livingProcesses(table), [])
  assert.equal(readFileSync(join(directory, 'order'), 'utf8'), '+one\n+two\n-two\n-one\n')
})

test('when one process does not come up, those before it are stopped', async () => {
  const table = join(directory, 'processes.json')
  const groups = [[shell('first', serve)], [shell('second', 'exit 1')]]
  await assert.rejects(
    supervise(groups, table, () => {}, new AbortController().signal),
    /second ended with code 1/,
  )
  assert.deepEqual(livingProcesses(table), [])
})

test('a stop while something is still starting stops what has started', async () => {
  const table = join(directory, 'processes.json')
  const stop = new AbortController()
  const started = supervise([[shell('first', 'exec sleep 600')]], table, () => {}, stop.signal)
  stop.abort(new Error('enough'))
  await assert.rejects(started, /enough/)
  assert.deepEqual(livingProcesses(table), [])
})

test('a log that has grown too big is moved aside and only the newest ones are kept', () => {
  const path = join(directory, 'big.log')
  using log = new LogFile(path, 10)
  for (const word of ['one', 'two', 'three', 'four', 'five']) log.write(Buffer.from(`${word.padEnd(9)}\n`))
  assert.match(readFileSync(path, 'utf8'), /^five/)
  assert.match(readFileSync(`${path}.1`, 'utf8'), /^four/)
  assert.match(readFileSync(`${path}.3`, 'utf8'), /^two/)
  assert.throws(() => readFileSync(`${path}.4`), /ENOENT/)
})

test(
  'a full disk drops log lines and not the process that writes them',
  { skip: process.getuid?.() === 0 ? false : 'only root may mount a small file system' },
  () => {
    const small = join(directory, 'small')
    mkdirSync(small)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', small])
    try {
      const path = join(small, 'full.log')
      using log = new LogFile(path)
      for (let line = 0; line < 100; line++) log.write(Buffer.alloc(1024, 'x'))
      assert.ok(statSync(path).size <= 16 * 1024)
      truncateSync(path, 0)
      log.write(Buffer.from('afterwards\n'))
      assert.match(
        readFileSync(path, 'utf8'),
        /\(\d+ bytes of this log were dropped: the disk was full\)\nafterwards\n$/,
      )
    } finally {
      execFileSync('umount', ['--lazy', small])
    }
  },
)
