import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AgentState } from '../../contract/agents.ts'
import type { Sandbox, SandboxState } from '../../contract/sandboxes.ts'
import { agentWhyNot } from './agent-actions.ts'

const agent = (state: AgentState, sandbox: SandboxState | null) => ({
  state,
  sandbox: sandbox === null ? null : ({ state: sandbox } as Sandbox),
})

test('an agent without a sandbox can be started and nothing else', () => {
  assert.equal(agentWhyNot('start', agent('none', null)), undefined)
  for (const action of ['stop', 'restart', 'wipe', 'reach'] as const)
    assert.match(agentWhyNot(action, agent('none', null)) ?? '', /no sandbox/)
})

test('refusals say what to do', () => {
  assert.equal(agentWhyNot('start', agent('running', 'running')), 'It runs already.')
  assert.equal(agentWhyNot('stop', agent('stopped', 'stopped')), 'It is stopped already.')
  assert.equal(agentWhyNot('reach', agent('starting', 'running')), 'Wait until it runs.')
})

test('what is possible is not refused', () => {
  assert.equal(agentWhyNot('start', agent('stopped', 'stopped')), undefined)
  assert.equal(agentWhyNot('stop', agent('running', 'running')), undefined)
  assert.equal(agentWhyNot('reach', agent('running', 'running')), undefined)
})

test('nothing is possible while it is being destroyed', () => {
  for (const action of ['start', 'stop', 'restart', 'wipe', 'reach'] as const)
    assert.equal(agentWhyNot(action, agent('destroying', 'running')), 'It is being destroyed.')
})
