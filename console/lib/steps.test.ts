import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stepsOf } from './steps.ts'

test('steps before the current one are done and say how long they took', () => {
  const steps = stepsOf('creating', { placedMs: 4, templateMs: 20_004 })
  assert.deepEqual(
    steps.map(({ state, ms }) => [state, ms]),
    [
      ['done', 4],
      ['done', 20_000],
      ['now', null],
      ['next', null],
      ['next', null],
    ],
  )
})

test('before the first report the first step is under way', () => {
  assert.deepEqual(stepsOf(null, {})[0], { step: 'placing', state: 'now', ms: null })
})

test('a step whose time is unknown is still done', () => {
  assert.deepEqual(stepsOf('creating', { templateMs: 30 })[0], { step: 'placing', state: 'done', ms: null })
})

test('a sandbox that is started again has only the steps that are left', () => {
  assert.deepEqual(stepsOf('waiting', {}), [
    { step: 'booting', state: 'done', ms: null },
    { step: 'waiting', state: 'now', ms: null },
  ])
})
