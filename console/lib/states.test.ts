import assert from 'node:assert/strict'
import { test } from 'node:test'
import { agentStates } from '../../contract/agents.ts'
import { sandboxSteps } from '../../contract/sandboxes.ts'
import { templateStates } from '../../contract/templates.ts'
import { agentLooks, isTransitional, stepTexts, templateLooks } from './states.ts'

test('every state and step of the contract has a look of its own', () => {
  assert.deepEqual(Object.keys(agentLooks).sort(), [...agentStates].sort())
  assert.deepEqual(Object.keys(templateLooks).sort(), [...templateStates].sort())
  assert.deepEqual(Object.keys(stepTexts), [...sandboxSteps])
  assert.equal(new Set(Object.values(agentLooks).map((look) => look.label)).size, agentStates.length)
})

test('exactly the states that end by themselves are watched', () => {
  assert.deepEqual(
    agentStates.filter((state) => isTransitional(state)),
    ['provisioning', 'starting', 'stopping', 'destroying'],
  )
})
