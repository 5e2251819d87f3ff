import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sandboxStates } from '../contract/sandboxes.ts'
import { nextStep, sandboxActions, whyNot } from './sandbox-state.ts'
import type { SandboxAction } from './sandbox-state.ts'

/** One letter per state, in this order: creating, running, paused, stopped, error, missing, destroyed. */
const table: Record<SandboxAction, string> = {
  start: '---ss--',
  stop: 'sss-ss-',
  restart: '-s--s--',
  pause: '-s-----',
  resume: '--s----',
  wipe: 'sssss--',
  destroy: 'ssssss-',
  reach: '-s-----',
}

for (const action of sandboxActions) {
  test(`${action} is allowed exactly where the table says`, () => {
    const found = sandboxStates.map((state) => (whyNot(action, state) === undefined ? 's' : '-')).join('')
    assert.equal(found, table[action])
  })
}

test('a refusal names the action, the state and what it must be', () => {
  assert.equal(whyNot('start', 'paused'), 'cannot start a sandbox that is paused; it must be stopped or error')
  assert.equal(whyNot('reach', 'stopped'), 'cannot reach a sandbox that is stopped; it must be running')
})

test('a refusal of something that is so already says so, and a missing host is named as the cause', () => {
  assert.equal(nextStep('stop', 'stopped'), 'It is stopped already.')
  assert.equal(nextStep('start', 'running'), 'It runs already.')
  assert.match(nextStep('start', 'missing') ?? '', /host does not answer/)
})
