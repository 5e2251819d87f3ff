import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { currentHolder, isHolder, takeLock, waitForRelease } from './lock.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'slopbox-lock-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

test('a second taker is told the pid and the address of the first', () => {
  const file = join(directory, 'up.lock')
  const first = takeLock(file)
  assert.ok(!isHolder(first))
  using held = first
  held.announce('http://slopbox.localhost:1')
  const second = takeLock(file)
  assert.deepEqual(second, { pid: process.pid, url: 'http://slopbox.localhost:1' })
  assert.deepEqual(currentHolder(file), { pid: process.pid, url: 'http://slopbox.localhost:1' })
  assert.equal(waitForRelease(file, 0), false)
})

test('a lock that was let go of can be taken again', () => {
  const file = join(directory, 'up.lock')
  const first = takeLock(file)
  assert.ok(!isHolder(first))
  first[Symbol.dispose]()
  assert.equal(currentHolder(file), null)
  assert.equal(waitForRelease(file, 0), true)
  const second = takeLock(file)
  assert.ok(!isHolder(second))
  second[Symbol.dispose]()
})

test('the lock of a process that was killed is free, whatever it left in the file', async () => {
  const file = join(directory, 'up.lock')
  const code = `const { takeLock } = await import(${JSON.stringify(join(import.meta.dirname, 'lock.ts'))})
    globalThis.held = takeLock(${JSON.stringify(file)}); console.log('held'); setTimeout(() => {}, 1e6)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  assert.equal(currentHolder(file)?.pid, child.pid)
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
  const mine = takeLock(file)
  assert.ok(!isHolder(mine))
  mine[Symbol.dispose]()
})
