import assert from 'node:assert/strict'
import { test } from 'node:test'
import { routeHost, splitDomain } from './route.ts'

const agentId = 'ag0123456789abcdef'
const sandboxId = 'sb0123456789abcdef'
const table = { domain: 'slopbox.localhost', ports: [8480] }
const app = { kind: 'app' }
const unknown = { kind: 'unknown' }
const agent = { kind: 'agent', agentId }
const port = { kind: 'port', sandboxId, port: 3000 }

const cases: [host: string, expected: object][] = [
  ['slopbox.localhost:8480', app],
  ['SLOPBOX.localhost:8480', app],
  ['slopbox.localhost.:8480', app],
  ['slopbox.localhost', app],
  ['slopbox.localhost:9000', unknown],
  ['localhost:8480', app],
  ['127.0.0.1:8480', app],
  ['[::1]:8480', app],
  ['localhost', unknown],
  ['localhost:9000', unknown],
  ['127.0.0.2:8480', unknown],
  ['[::]:8480', unknown],
  ['evil.example:8480', unknown],
  ['slopbox.localhost.evil.example:8480', unknown],
  ['evilslopbox.localhost:8480', unknown],
  ['www.slopbox.localhost:8480', unknown],
  ['agent.slopbox.localhost:8480', unknown],
  [`${agentId}.agent.slopbox.localhost:8480`, agent],
  [`${agentId.toUpperCase()}.agent.slopbox.localhost:8480`, agent],
  [`${agentId}.agent.slopbox.localhost`, agent],
  [`${agentId}.agent.slopbox.localhost:1`, unknown],
  [`x.${agentId}.agent.slopbox.localhost:8480`, unknown],
  [`${agentId}.slopbox.localhost:8480`, unknown],
  [`${sandboxId}.agent.slopbox.localhost:8480`, unknown],
  [`short.agent.slopbox.localhost:8480`, unknown],
  [`3000-${sandboxId}.slopbox.localhost:8480`, port],
  [`3000-${agentId}.slopbox.localhost:8480`, unknown],
  [`03000-${sandboxId}.slopbox.localhost:8480`, unknown],
  [`0-${sandboxId}.slopbox.localhost:8480`, unknown],
  [`65536-${sandboxId}.slopbox.localhost:8480`, unknown],
  [`65535-${sandboxId}.slopbox.localhost:8480`, { ...port, port: 65_535 }],
  [`3000-${sandboxId}.agent.slopbox.localhost:8480`, unknown],
  [`x.3000-${sandboxId}.slopbox.localhost:8480`, unknown],
  ['', unknown],
  [':8480', unknown],
]
for (const [host, expected] of cases)
  test(`Host "${host}" leads to ${JSON.stringify(expected)}`, () => {
    assert.deepEqual(routeHost(host, false, table), expected)
  })

test('a loopback name without a port means the default port of the scheme', () => {
  assert.deepEqual(routeHost('localhost', true, { domain: 'x.example', ports: [443] }), app)
  assert.deepEqual(routeHost('localhost', false, { domain: 'x.example', ports: [443] }), unknown)
  assert.deepEqual(routeHost('localhost', false, { domain: 'x.example', ports: [80] }), app)
})

test('the domain setting is split into name and port', () => {
  assert.deepEqual(splitDomain('Slopbox.Localhost:8480'), { name: 'slopbox.localhost', port: 8480 })
  assert.deepEqual(splitDomain('slopbox.example'), { name: 'slopbox.example', port: null })
})
