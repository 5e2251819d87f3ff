import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AgentState } from '../contract/agents.ts'
import { agentCondition } from './agent-state.ts'
import type { SandboxFacts } from './agent-state.ts'

const at: SandboxFacts = {
  desired: 'running',
  state: 'running',
  step: null,
  reason: null,
  ready: true,
  restarting: false,
  stoppedBy: null,
}

const cases: [string, Partial<SandboxFacts> | null, boolean, AgentState, string | null][] = [
  ['without a sandbox', null, false, 'none', null],
  ['whose sandbox is gone', { state: 'destroyed', desired: 'destroyed' }, false, 'none', null],
  ['that is ready', {}, false, 'running', null],
  ['that runs but is not ready', { ready: false }, false, 'starting', 'waiting'],
  ['that runs but shall be restarted', { restarting: true }, false, 'starting', 'waiting'],
  ['that waits for a host', { state: 'creating', step: 'placing', ready: false }, false, 'provisioning', 'placing'],
  ['whose template is built', { state: 'creating', step: 'template', ready: false }, false, 'provisioning', 'template'],
  ['that boots', { state: 'creating', step: 'booting', ready: false }, false, 'starting', 'booting'],
  ['stopped so far, to be started', { state: 'stopped', ready: false }, false, 'starting', 'booting'],
  ['to be stopped', { desired: 'stopped' }, false, 'stopping', null],
  ['that stopped', { desired: 'stopped', state: 'stopped', ready: false }, false, 'stopped', null],
  ['that failed and shall rest', { desired: 'stopped', state: 'error' }, false, 'stopped', null],
  ['that failed', { state: 'error', ready: false }, false, 'error', null],
  ['whose host is silent', { state: 'missing', ready: false }, false, 'unreachable', null],
  ['that is being destroyed', { desired: 'destroyed' }, true, 'destroying', null],
  ['that is being destroyed on a silent host', { desired: 'destroyed', state: 'missing' }, true, 'destroying', null],
  ['destroyed, whose sandbox is gone', null, true, 'destroying', null],
]

for (const [name, facts, deleted, state, step] of cases) {
  test(`an agent ${name} is ${state}`, () => {
    const condition = agentCondition(facts === null ? null : { ...at, ...facts }, deleted)
    assert.deepEqual([condition.state, condition.step], [state, step])
  })
}

test('the reason is the sandbox’s own', () => {
  const condition = agentCondition({ ...at, state: 'error', reason: 'no space left' }, false)
  assert.equal(condition.reason, 'no space left')
})
