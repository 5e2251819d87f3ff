import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { SandboxSpec } from '../../contract/sync.ts'
import { modelTarget } from './openclaw-config.ts'
import { openclaw } from './openclaw.ts'
import type { AgentFacts } from './runtime.ts'

const facts: AgentFacts = {
  id: 'ag0000000000000001',
  name: 'Ada',
  personality: { preset: 'assistant', soul: '', instructions: 'BE GOOD', emoji: '' },
  ownFiles: { 'USER.md': 'OWN' },
  model: {
    baseUrl: 'https://secret-endpoint.example/v1',
    api: 'openai-completions',
    id: 'm-1',
    secret: 'model-ada',
    contextTokens: 1000,
    maxOutputTokens: 100,
  },
  modelPlaceholder: 'slopbox-placeholder-1',
  size: { cpus: 2, memoryMiB: 2048, diskGiB: 10 },
  ownerIds: ['us0000000000000001', 'us0000000000000002'],
  origins: ['http://a.example', 'https://a.example'],
  volumeId: 'vo1',
  templateKey: 'openclaw-1',
}
const spec = openclaw.spec(facts)
const file = (path: string): string => spec.files.find((each) => each.path === `openclaw/${path}`)?.content ?? ''
const config = JSON.parse(file('openclaw.json')) as Record<string, Record<string, unknown>>
const at = (path: string): unknown =>
  path.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], config)

test('the spec is one that a host accepts, and the same facts give the same spec', () => {
  assert.deepEqual(SandboxSpec.parse(spec), spec)
  assert.deepEqual(openclaw.spec(facts), spec)
})

/** Invariants: each of these, loosened, would let an agent or its owner's browser change its own bounds. */
const lockedDown: [string, unknown][] = [
  ['gateway.auth.mode', 'trusted-proxy'],
  ['gateway.bind', 'lan'],
  ['gateway.trustedProxies', ['{{hostAddress}}']],
  ['gateway.auth.trustedProxy.requiredHeaders', ['x-forwarded-proto', 'x-forwarded-host']],
  ['gateway.terminal.enabled', false],
  ['gateway.cliAgents.enabled', false],
  ['tools.elevated.enabled', false],
  ['commands', { config: false, mcp: false, plugins: false, debug: false, bash: false, restart: false }],
  ['hooks.enabled', false],
  ['browser.enabled', false],
  ['models.mode', 'replace'],
  ['models.catalogRefresh.enabled', false],
  ['update.checkOnStart', false],
  ['agents.defaults.heartbeat.every', '0m'],
]
for (const [path, value] of lockedDown)
  test(`${path} is locked down`, () => {
    assert.deepEqual(at(path), value)
  })

test('loopback is never trusted, since the agent’s own tools come from there', () => {
  assert.ok(!file('openclaw.json').includes('allowLoopback'))
  assert.equal(spec.env['OPENCLAW_CONFIG_READONLY'], '1')
})

test('owners have capped rights, we have all, and nobody else is known', () => {
  const owner = ['operator.read', 'operator.write', 'operator.questions']
  assert.deepEqual(at('gateway.auth.identityScopes'), {
    us0000000000000001: owner,
    us0000000000000002: owner,
    'control-plane': ['operator.admin', ...owner],
  })
  assert.deepEqual(openclaw.uiAccess('us0000000000000001').headers, {
    'x-forwarded-user': 'us0000000000000001',
    'x-openclaw-scopes': owner.join(','),
  })
})

test('inside there is neither the endpoint nor the name of the secret, only the alias and the placeholder', () => {
  const text = JSON.stringify(spec)
  assert.ok(!text.includes('secret-endpoint') && !text.includes('model-ada'))
  assert.equal(at('models.providers.slopbox.baseUrl'), 'http://model.slopbox.internal')
  assert.equal(at('models.providers.slopbox.apiKey'), 'slopbox-placeholder-1')
})

const targets: [string, AgentFacts['model']['api'], string][] = [
  ['https://api.openai.example/v1', 'openai-completions', 'https://api.openai.example/v1'],
  ['https://api.openai.example/v1/', 'openai-responses', 'https://api.openai.example/v1'],
  ['https://api.anthropic.example/v1', 'anthropic-messages', 'https://api.anthropic.example'],
  ['https://api.anthropic.example', 'anthropic-messages', 'https://api.anthropic.example'],
  ['http://127.0.0.1:4100/x/v1/', 'anthropic-messages', 'http://127.0.0.1:4100/x'],
]
for (const [baseUrl, api, target] of targets)
  test(`the alias for ${baseUrl} (${api}) leads to ${target}`, () => {
    assert.equal(modelTarget(baseUrl, api), target)
  })

test('files reach the workspace, an agent’s own edits stay until the owner changes that file', () => {
  const root = mkdtempSync(join(tmpdir(), 'slopbox-apply-'))
  try {
    const source = join(root, 'etc')
    const workspace = join(root, 'workspace')
    mkdirSync(source)
    const script = file('apply.sh')
      .replaceAll('/etc/slopbox/openclaw/workspace', source)
      .replaceAll('/home/user/workspace', workspace)
    const apply = (): void => void execFileSync('/bin/sh', ['-c', script])
    const read = (name: string): string => readFileSync(join(workspace, name), 'utf8')
    writeFileSync(join(source, 'SOUL.md'), 'one')
    writeFileSync(join(source, 'USER.md'), 'user')
    apply()
    assert.deepEqual([read('SOUL.md'), read('USER.md')], ['one', 'user'])
    writeFileSync(join(workspace, 'USER.md'), 'learnt')
    apply()
    assert.equal(read('USER.md'), 'learnt')
    writeFileSync(join(source, 'SOUL.md'), 'two')
    apply()
    assert.deepEqual([read('SOUL.md'), read('USER.md')], ['two', 'learnt'])
    writeFileSync(join(source, 'USER.md'), 'changed')
    apply()
    assert.equal(read('USER.md'), 'changed')
  } finally {
    rmSync(root, { recursive: true })
  }
})

test('every script is one that a shell can read', () => {
  for (const { content } of spec.files.filter((each) => each.executable))
    execFileSync('/bin/sh', ['-n', '-c', content], { stdio: 'pipe' })
})
