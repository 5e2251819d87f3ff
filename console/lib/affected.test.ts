import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAffected } from './affected.ts'

const change = (kind: string, agentId: string | null = null) => ({ kind, agentId })

test('a change of an agent reaches that agent and the lists, not the other agents', () => {
  assert.equal(isAffected(change('agent.updated', 'ag1'), ['agents.get', { id: 'ag1' }, {}]), true)
  assert.equal(isAffected(change('agent.updated', 'ag1'), ['agents.list', {}, {}]), true)
  assert.equal(isAffected(change('agent.updated', 'ag1'), ['agents.get', { id: 'ag2' }, {}]), false)
  assert.equal(isAffected(change('agent.updated', 'ag1'), ['secrets.list', {}, {}]), false)
})

test('a change of a sandbox shows on its agent', () => {
  assert.equal(isAffected(change('sandbox.running', 'ag1'), ['agents.get', { id: 'ag1' }, {}]), true)
})

test('after connecting again everything is asked for again', () => {
  assert.equal(isAffected(change('stream.open'), ['secrets.list', {}, {}]), true)
})

test('an unknown noun changes nothing', () => {
  assert.equal(isAffected(change('weather.changed'), ['agents.list', {}, {}]), false)
})
