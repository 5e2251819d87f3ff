import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { openSpool } from './spool.ts'

function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'spool-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}
const numbers = (from: number, to: number): { n: number }[] =>
  Array.from({ length: to - from + 1 }, (_, i) => ({ n: from + i }))

test('records come back in order until they are acknowledged, also after opening again', (t) => {
  const directory = scratch(t)
  const first = openSpool<{ n: number }>(directory, { segmentBytes: 50 })
  for (const record of numbers(1, 30)) assert.equal(first.append(record), true)
  const batch = first.peek(10)
  assert.deepEqual(batch.records, numbers(1, 10))
  assert.deepEqual(first.peek(10).records, numbers(1, 10), 'nothing is lost by looking')
  first.ack(batch.mark)
  first[Symbol.dispose]()
  using again = openSpool<{ n: number }>(directory, { segmentBytes: 50 })
  assert.deepEqual(again.peek(100).records, numbers(11, 30))
  const rest = again.peek(100)
  again.ack(rest.mark)
  again.ack(batch.mark)
  assert.deepEqual(again.peek(1).records, [], 'an older mark does not bring records back')
  assert.equal(again.pendingBytes, 0)
  assert.equal(readdirSync(directory).filter((name) => name.endsWith('.jsonl')).length, 1)
  again.append({ n: 31 })
  assert.deepEqual(again.peek(5).records, [{ n: 31 }])
})

test('a full spool refuses new records, keeps the old ones and takes records again once there is room', (t) => {
  using spool = openSpool<{ n: number }>(scratch(t), { maxBytes: 80, segmentBytes: 40 })
  const taken = numbers(1, 20).filter((record) => spool.append(record)).length
  assert.ok(taken >= 8 && taken < 20)
  assert.equal(spool.refused, 20 - taken)
  assert.equal(spool.full, true)
  assert.deepEqual(spool.peek(100).records, numbers(1, taken))
  spool.ack(spool.peek(taken).mark)
  assert.equal(spool.append({ n: 99 }), true)
  assert.deepEqual(spool.peek(100).records, [{ n: 99 }])
})

test('a crash at any byte of the last line loses only that line', (t) => {
  const source = scratch(t)
  const spool = openSpool<{ text: string }>(source)
  spool.append({ text: 'first' })
  spool.append({ text: 'sécond\nline' })
  spool[Symbol.dispose]()
  const name = readdirSync(source).find((file) => file.endsWith('.jsonl')) ?? ''
  const bytes = readFileSync(join(source, name))
  const firstLine = bytes.indexOf(0x0a) + 1
  for (let length = firstLine; length < bytes.length; length++) {
    const copy = join(source, `at-${length}`)
    cpSync(join(source, name), join(copy, name))
    truncateSync(join(copy, name), length)
    using torn = openSpool<{ text: string }>(copy)
    assert.deepEqual(torn.peek(9).records, [{ text: 'first' }])
    torn.append({ text: 'third' })
    assert.deepEqual(torn.peek(9).records, [{ text: 'first' }, { text: 'third' }])
  }
})

test('one peek is bounded in bytes but always makes progress', (t) => {
  using spool = openSpool<{ text: string }>(scratch(t))
  for (let i = 0; i < 4; i++) spool.append({ text: 'x'.repeat(20_000) })
  assert.equal(spool.peek(100, 30_000).records.length, 2)
  assert.equal(spool.peek(100, 1).records.length, 1)
})

test('an unreadable acknowledgement stops the opening instead of guessing', (t) => {
  const directory = scratch(t)
  appendFileSync(join(directory, 'acked'), '{"segment":"x"}')
  assert.throws(() => openSpool(directory), /not a mark/)
})

test('every record that was reported as appended is there after SIGKILL, none twice', async (t) => {
  const directory = scratch(t)
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program, directory], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  let told = 0
  child.on('message', (n: number) => {
    told = n
    if (n >= 3_000) child.kill('SIGKILL')
  })
  await once(child, 'exit')
  using spool = openSpool<{ n: number }>(directory)
  const { records } = spool.peek(1_000_000, 1e9)
  assert.ok(records.length >= told && told >= 3_000)
  assert.deepEqual(records, numbers(1, records.length))
})

// Run in a process of its own, which the test kills.
const program = `
  import { openSpool } from '${new URL('spool.ts', import.meta.url).href}'
  const spool = openSpool(process.argv[1], { segmentBytes: 1000 })
  const run = (n) => {
    for (let i = 1; i <= 100; i++) spool.append({ n: n + i })
    process.send(n + 100, () => run(n + 100))
  }
  run(0)
`
