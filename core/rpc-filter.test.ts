import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { filterFrame, whyNotCall } from './rpc-filter.ts'
import { allowedMethods } from './rpc-methods.ts'

/** Every method of OpenClaw 2026.9.6 by the scope its dispatch table asks for. */
const known = JSON.parse(readFileSync(new URL('rpc-methods.fixture.json', import.meta.url), 'utf8')) as Record<
  string,
  string[]
>
const scopes = ['operator.read', 'operator.write', 'operator.questions']
const call = (method: string, params: object = {}) =>
  filterFrame({ type: 'req', id: '7', method, params }, 'open', scopes)

for (const scope of ['operator.admin', 'operator.approvals', 'operator.pairing', 'operator.talk', 'node', 'extra']) {
  test(`no method of ${scope} passes`, () => {
    assert.deepEqual(
      known[scope]?.filter((method) => call(method).action !== 'refuse'),
      [],
    )
  })
}

test('every allowed method exists and asks for no more than read, write, questions or a rule by parameters', () => {
  const open = ['operator.read', 'operator.write', 'operator.questions', 'dynamic'].flatMap(
    (scope) => known[scope] ?? [],
  )
  assert.deepEqual(
    [...allowedMethods].filter((method) => !open.includes(method)),
    [],
  )
  assert.ok(Object.values(known).flat().length > 480)
})

const refused = `
  config.get config.schema config.schema.lookup config.patch config.set config.apply exec.approvals.get
  exec.approvals.set exec.approval.resolve update.run update.status tools.invoke portal.open portal.close
  session.publicShare.set node.invoke node.pending.enqueue computer.invoke mcp.app.callTool projects.add
  worktrees.create fs.listDir sessions.github.publish users.github.status users.authConnect.start
  users.selectModelAccount push.web.subscribe push.test device.scopes.requestUpgrade send message.action
  poll controlUi.linkPreview logs.tail system.info diagnostics.lanes diagnostics.stability audit.list
  audit.activity.list agent wake plugins.sessionAction environments.list channels.pairing.approve
  sessions.dispatch sessions.patchMany sessions.move talk.config question.request connect no.such.method
  constructor __proto__
`
  .trim()
  .split(/\s+/)
for (const method of refused) {
  test(`${method} is answered with an error that names it`, () => {
    const verdict = call(method)
    assert.equal(verdict.action, 'refuse')
    assert.ok('reply' in verdict)
    const { id, ok, error } = verdict.reply as { id: string; ok: boolean; error: { code: string; details: object } }
    assert.deepEqual([id, ok, error.code], ['7', false, 'FORBIDDEN'])
    assert.deepEqual(error.details, { code: 'METHOD_BLOCKED', method, by: 'slopbox' })
  })
}

const used = `
  agents.list agent.identity.get chat.startup chat.history chat.metadata chat.send chat.abort
  chat.message.get sessions.list sessions.subscribe sessions.describe sessions.create sessions.patch
  sessions.branches.list sessions.viewers.set sessions.messages.subscribe sessions.observer.visibility
  sessions.groups.list sessions.catalog.list sessions.companion.state session.members.listEvidence
  session.discussion.info models.list models.authStatus talk.catalog tasks.list taskSuggestions.list
  question.list question.resolve progressCard.get projects.list plugins.controlUi.list health
  plugin.surface.refresh users.self users.prefs.get mentions.list cron.list cron.status board.get
  channels.status status usage.status usage.cost commands.list artifacts.list agents.files.list
  agents.files.get agents.workspace.list agents.workspace.get
`
  .trim()
  .split(/\s+/)
test('what the page needs to boot and to chat passes', () => {
  assert.deepEqual(
    used.filter((method) => call(method).action !== 'forward'),
    [],
  )
})

const parameters: [name: string, method: string, params: object, passes: boolean][] = [
  ['a message', 'chat.send', { sessionKey: 'main', message: 'hello /path/exec.txt', deliver: false }, true],
  ['a message delivered to a channel', 'chat.send', { message: 'hello', deliver: true }, false],
  ['a forged origin', 'chat.send', { message: 'hello', originatingChannel: 'telegram' }, false],
  ['a forged provenance', 'chat.send', { message: 'hello', systemInputProvenance: { kind: 'x' } }, false],
  ['/exec at the start', 'chat.send', { message: '/exec security=full' }, false],
  ['/exec in the middle', 'chat.send', { message: 'please\n/EXEC: host=gateway' }, false],
  ['/elevated', 'chat.send', { message: 'hi /elevated full' }, false],
  ['/config', 'chat.send', { message: ' /config set x' }, false],
  ['/config after a mention', 'chat.send', { message: '@bot /config set x' }, false],
  ['a shell escape', 'chat.send', { message: '!id' }, false],
  ['/compact', 'chat.send', { message: '/compact' }, true],
  ['/model', 'chat.send', { message: '/model gpt' }, true],
  ['a message that is not text', 'chat.send', { message: ['/exec'] }, false],
  ['a new session', 'sessions.create', { agentId: 'main', label: 'x', message: 'hi' }, true],
  ['a new session that runs free', 'sessions.create', { permissionMode: 'full' }, false],
  ['a new session elsewhere', 'sessions.create', { cwd: '/' }, false],
  ['a new session on a node', 'sessions.create', { execNode: 'n' }, false],
  ['a new session from a repository', 'sessions.create', { projectGitUrl: 'https://x.example/y' }, false],
  ['a new session with a command', 'sessions.create', { message: '/exec ask=off' }, false],
  ['a renamed session', 'sessions.patch', { key: 'k', label: 'new' }, true],
  ['another model', 'sessions.patch', { key: 'k', model: 'm' }, true],
  ['a session back to default', 'sessions.patch', { key: 'k', permissionMode: null }, true],
  ['permissionMode', 'sessions.patch', { key: 'k', permissionMode: 'full' }, false],
  ['sandboxMode', 'sessions.patch', { key: 'k', sandboxMode: 'off' }, false],
  ['elevatedLevel', 'sessions.patch', { key: 'k', elevatedLevel: 'full' }, false],
  ['execSecurity', 'sessions.patch', { key: 'k', execSecurity: 'full' }, false],
  ['toolOverrides', 'sessions.patch', { key: 'k', toolOverrides: { allow: ['gateway'] } }, false],
  ['sendPolicy', 'sessions.patch', { key: 'k', sendPolicy: 'allow' }, false],
  ['deleting an archived session', 'sessions.delete', { key: 'k', archivedOnly: true }, true],
  ['deleting any session', 'sessions.delete', { key: 'k' }, false],
]
for (const [name, method, params, passes] of parameters) {
  test(`${method}: ${name} ${passes ? 'passes' : 'is refused'}`, () => {
    assert.equal(whyNotCall(method, params as Record<string, unknown>) === undefined, passes)
  })
}

test('connect loses device and credentials, and asks for no scope beyond the cap', () => {
  const params = {
    minProtocol: 4,
    client: { id: 'openclaw-control-ui', mode: 'webchat', buildId: 'b' },
    role: 'operator',
    scopes: ['operator.admin', 'operator.read', 'operator.write'],
    device: { id: 'd' },
    auth: { token: 't' },
  }
  const verdict = filterFrame({ type: 'req', id: '1', method: 'connect', params, extra: 1 }, 'connect', scopes)
  assert.deepEqual(verdict, {
    action: 'forward',
    method: 'connect',
    frame: {
      type: 'req',
      id: '1',
      method: 'connect',
      params: {
        minProtocol: 4,
        client: { id: 'openclaw-control-ui', mode: 'webchat', buildId: 'b' },
        role: 'operator',
        scopes: ['operator.read', 'operator.write'],
      },
    },
  })
})

for (const [name, params] of Object.entries({
  'as a node': { role: 'node' },
  'in node mode': { client: { mode: 'node' } },
  'in worker mode': { client: { mode: 'worker' } },
}))
  test(`connect ${name} is refused`, () => {
    const verdict = filterFrame({ type: 'req', id: '1', method: 'connect', params }, 'connect', scopes)
    assert.equal(verdict.action, 'refuse')
  })

for (const [name, message] of Object.entries({
  'an array': [],
  text: 'x',
  null: null,
  'an answer': { type: 'res', id: '1', ok: true },
  'an event': { type: 'event', event: 'x' },
  'a call without id': { type: 'req', method: 'health' },
  'a call with an empty id': { type: 'req', id: '', method: 'health' },
  'a call with a numeric method': { type: 'req', id: '1', method: 1 },
}))
  test(`${name} closes the connection`, () => {
    assert.equal(filterFrame(message, 'open', scopes).action, 'close')
  })

test('anything before connect closes the connection', () => {
  assert.equal(filterFrame({ type: 'req', id: '1', method: 'health' }, 'connect', scopes).action, 'close')
})

test('params that are not an object are refused', () => {
  assert.equal(filterFrame({ type: 'req', id: '1', method: 'health', params: [] }, 'open', scopes).action, 'refuse')
})
