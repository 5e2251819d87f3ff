import assert from 'node:assert/strict'
import { test } from 'node:test'
import { agentTabs, isAgentTab, paths, safeReturn } from './paths.ts'

test('no tab of an agent shadows the address of its own UI', () => {
  assert.equal(paths.agentUi('ag1'), '/agents/ag1/gateway/')
  assert.equal((agentTabs as readonly string[]).includes('gateway'), false)
})

test('ids are escaped in paths', () => {
  assert.equal(paths.agent('a/b?c'), '/agents/a%2Fb%3Fc/chat')
  assert.equal(paths.agent('ag1', 'usage'), '/agents/ag1/usage')
})

test('only the tabs that exist are tabs', () => {
  assert.equal(isAgentTab('network'), true)
  assert.equal(isAgentTab('gateway'), false)
})

test('signing in never leads to another site', () => {
  for (const evil of [
    '//evil.example',
    '/\\evil.example',
    'https://evil.example',
    'javascript:alert(1)',
    '',
    undefined,
  ])
    assert.equal(safeReturn(evil), '/agents')
  assert.equal(safeReturn('/sign-in?to=/usage'), '/agents')
  assert.equal(safeReturn('/usage?month=2026-11'), '/usage?month=2026-11')
})
