import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, truncateSync, writeFileSync, openSync, writeSync, closeSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { openCounters } from './counters.ts'

function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'counters-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return join(directory, 'counters')
}

test('totals and epochs are the same after the file is opened again', async (t) => {
  const path = scratch(t)
  const first = openCounters(path)
  first.add('sb1', 'out', 5)
  first.add('sb1', 'in', 7)
  first.add('sb2', 'out', 2 ** 40)
  first.add('sb1', 'out', 1)
  const before = await first.readings()
  first[Symbol.dispose]()
  using again = openCounters(path)
  assert.deepEqual(await again.readings(), before)
  assert.equal(again.total('sb1', 'out'), 6)
  assert.equal(again.total('sb2', 'out'), 2 ** 40)
  assert.equal(again.total('nobody', 'out'), 0)
})

test('a forgotten counter begins a new epoch at zero and its slot is used again', async (t) => {
  const path = scratch(t)
  using counters = openCounters(path)
  counters.add('a', 'm', 3)
  const [old] = await counters.readings()
  const size = statSync(path).size
  counters.forget('a')
  assert.deepEqual(await counters.readings(), [])
  counters.add('a', 'm', 2)
  const [fresh] = await counters.readings()
  assert.equal(fresh?.total, 2)
  assert.notEqual(fresh?.epoch, old?.epoch)
  assert.equal(statSync(path).size, size)
})

test('a slot that was cut off or overwritten is free and the others stand', async (t) => {
  const path = scratch(t)
  const counters = openCounters(path)
  for (const key of ['a', 'b', 'c']) counters.add(key, 'm', 4)
  counters[Symbol.dispose]()
  truncateSync(path, statSync(path).size - 50)
  const fd = openSync(path, 'r+')
  writeSync(fd, Buffer.from('x'), 0, 1, 128 + 60)
  closeSync(fd)
  using again = openCounters(path)
  assert.deepEqual(
    (await again.readings()).map((r) => [r.key, r.total]),
    [['b', 4]],
  )
  again.add('d', 'm', 1)
  again.add('e', 'm', 1)
  assert.equal((await again.readings()).length, 3)
})

test('what cannot be counted or named is refused and another kind of file is not touched', (t) => {
  const path = scratch(t)
  using counters = openCounters(path)
  assert.throws(() => counters.add('a', 'm', -1), RangeError)
  assert.throws(() => counters.add('a', 'm', 1.5), RangeError)
  assert.throws(() => counters.add('x'.repeat(65), 'm', 1), RangeError)
  assert.throws(() => counters.add('', 'm', 1), RangeError)
  const other = `${path}.other`
  writeFileSync(other, 'not counters '.repeat(20))
  assert.throws(() => openCounters(other), /not a file of counters/)
})

test('every add that returned is there after SIGKILL', async (t) => {
  const path = scratch(t)
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program, path], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  let told = 0
  child.on('message', (n: number) => {
    told = n
    if (n >= 20_000) child.kill('SIGKILL')
  })
  await once(child, 'exit')
  using counters = openCounters(path)
  const total = counters.total('key', 'm')
  assert.ok(total >= told, `${total} in the file, ${told} were told`)
  assert.ok(told >= 20_000)
})

// Run in a process of its own, which the test kills.
const program = `
  import { openCounters } from '${new URL('counters.ts', import.meta.url).href}'
  const counters = openCounters(process.argv[1])
  const run = (n) => {
    for (let i = 0; i < 500; i++) counters.add('key', 'm', 1)
    process.send(n + 500, () => run(n + 500))
  }
  run(0)
`
