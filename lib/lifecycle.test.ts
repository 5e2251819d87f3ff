import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { faultText } from './lifecycle.ts'

test('a fault is told with its causes and the next step', () => {
  const full = Object.assign(new Error('no space left on device'), { hint: 'Free some space.', detail: undefined })
  assert.equal(
    faultText(new Error('migration did not apply', { cause: full })),
    'migration did not apply: no space left on device\nFree some space.',
  )
  assert.equal(faultText('words'), "'words'")
})

test('the last words of a process that fails at its start say why', () => {
  const lifecycle = new URL('lifecycle.ts', import.meta.url).href
  const program = `
    import { endOnFault } from ${JSON.stringify(lifecycle)}
    endOnFault()
    await Promise.reject(new Error('outer', { cause: Object.assign(new Error('inner'), { file: 'md.c', line: '641' }) }))`
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
  assert.equal(status, 1)
  assert.equal(stderr.trimEnd().split('\n').at(-1), 'outer: inner')
})
