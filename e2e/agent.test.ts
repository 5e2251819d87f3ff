/**
 * The main job, from an empty data directory: sign in by the printed link, rent an agent in the browser, chat with the
 * real OpenClaw, and try from inside and from outside what must not work. The parts build on one another, in order.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import type { Page } from 'playwright-core'
import type { Agent } from '../contract/agents.ts'
import type { Slopbox } from '../sdk/index.ts'
import { openBrowser, visit } from './browser.ts'
import { killAndAwait, supervised } from './kill.ts'
import { leftovers } from './leftovers.ts'
import { answerTokens, promptTokens, startModelServer, type ModelServer } from './model-server.ts'
import { callFromPage, captureSockets, closedSockets, rememberOpenSockets } from './page-socket.ts'
import { cli, eventually, startWorld, type World } from './world.ts'

const key = 'sk-real-7c1f0e9b2d4a4c5e8f60718293a4b5c6'
const answer = 'The lighthouse keeper counts nine hundred ships.'
/** A name that exists everywhere and is allowed nowhere. */
const forbidden = 'example.com'

const run = promisify(execFile)

let world: World
let model: ModelServer
let browser: Awaited<ReturnType<typeof openBrowser>>
let page: Page
let agent: Agent

before(async () => {
  model = await startModelServer(key, answer)
  world = await startWorld()
  browser = await openBrowser()
  page = await browser.context.newPage()
})
after(async () => {
  await browser?.[Symbol.asyncDispose]()
  await world?.[Symbol.asyncDispose]()
  await model?.[Symbol.asyncDispose]()
})

/** Runs a shell line in the agent's sandbox, as its own user. */
const inside = async (line: string): ReturnType<Slopbox['sandboxes']['run']> => {
  assert.ok(agent.sandbox)
  return world.client.sandboxes.run(agent.sandbox.id, ['sh', '-c', line], { timeoutMs: 60_000 })
}
/** What curl on this machine, outside every sandbox, gets as headers. */
const curl = async (...args: string[]): Promise<string> =>
  (await run('curl', ['-sS', '-m', '20', '-i', '--noproxy', '', ...args])).stdout
const refresh = async (): Promise<Agent> => (agent = await world.client.agents.get(agent.id))

/** What builds templates or starts an agent may take this long on a slow machine. */
const long = { timeout: 20 * 60_000 }

test('both built-in templates are built, with progress on the way', long, async () => {
  const seen = new Set<string>()
  await eventually(
    'templates',
    900,
    async () => (await world.client.templates.list()).items,
    (items) => {
      for (const { name, state, reason, progress } of items) {
        assert.notEqual(state, 'failed', `${name}: ${reason}`)
        if (progress !== null) seen.add(`${name}: ${progress.title}`)
      }
      return items.length >= 2 && items.every(({ state }) => state === 'ready')
    },
  )
  assert.ok(
    [...seen].some((line) => line.startsWith('openclaw: ')),
    [...seen].join(', '),
  )
})

test('the printed link signs in, once', async () => {
  await page.goto(world.signInLink)
  await page.getByRole('heading', { name: 'Agents', exact: true }).waitFor()
  assert.doesNotMatch(page.url(), /token=/)
  await using stranger = await openBrowser()
  const other = await stranger.context.newPage()
  await other.goto(world.signInLink)
  await other.getByText('This sign-in link does not work').waitFor()
})

test('an agent made in the browser comes up', long, async () => {
  // The model listens on this machine's loopback, which nothing may reach until the operator says so.
  await world.client.admin.updateSettings({ allowedRanges: ['127.0.0.1/32'] })
  await page.getByRole('link', { name: 'New agent' }).first().click()
  await page.getByRole('textbox', { name: 'Name' }).fill('Ada')
  await page.getByRole('radio', { name: /Researcher/ }).check({ force: true })
  await page.getByRole('radio', { name: /Custom/ }).check({ force: true })
  await page.getByRole('textbox', { name: 'Endpoint' }).fill(model.url)
  await page.getByRole('textbox', { name: 'Model', exact: true }).fill('fake-1')
  await page.getByLabel('Model key').fill(key)
  await page.getByRole('button', { name: 'Create agent' }).click()
  await page.getByRole('heading', { name: /Ada/ }).first().waitFor()
  const { items } = await world.client.agents.list()
  assert.equal(items.length, 1)
  agent = items[0] as Agent
  await eventually('the agent', 900, refresh, (a) => {
    assert.notEqual(a.state, 'error', a.reason ?? '')
    return a.state === 'running'
  })
  await page.getByText('Running', { exact: true }).first().waitFor()
})

let ui: Page

test('its own chat opens on its own origin, and answers', async () => {
  ui = await browser.context.newPage()
  await captureSockets(ui)
  const box = ui.locator('textarea').first()
  await visit(ui, new URL(`/agents/${agent.id}/gateway/`, page.url()).href, box)
  assert.equal(new URL(ui.url()).hostname, `${agent.id}.agent.${world.up.domain.replace(/:\d+$/, '')}`)
  await box.fill('How many ships did you count?')
  await box.press('Enter')
  await ui.getByText(answer).first().waitFor({ timeout: 120_000 })
})

test('the model saw the real key, the browser no credential of the agent', async () => {
  assert.ok(model.calls.length > 0)
  assert.deepEqual([...new Set(model.calls.map((call) => call.authorization))], [`Bearer ${key}`])
  const stored = await ui.evaluate(
    'JSON.stringify({ ...localStorage }) + JSON.stringify({ ...sessionStorage }) + document.cookie + location.href',
  )
  assert.ok(!String(stored).includes(key))
})

test('inside there is only the placeholder: environment, processes, files', async () => {
  // The key is put together inside a shell variable and read from standard input, so that no command line holds it.
  const found = await inside(`
    key=$(printf '%s%s' '${key.slice(0, 12)}' '${key.slice(12)}')
    printf '%s' "$key" | grep -rlF -f - /etc /home /tmp /var /run /opt /srv 2>/dev/null
    for process in /proc/[0-9]*; do
      seen=$(cat "$process/environ" "$process/cmdline" 2>/dev/null | tr '\\0' ' ')
      case $seen in *"$key"*) echo "$process" ;; esac
    done
    true`)
  assert.equal(found.stdout, '')
  const config = await inside('cat /etc/slopbox/openclaw/openclaw.json')
  assert.match(config.stdout, /"apiKey": "/)
  const write = await inside('echo {} > /etc/slopbox/openclaw/openclaw.json')
  assert.notEqual(write.code, 0)
})

const attempts = [
  [
    'curl through the proxy of the environment',
    `curl -sS -m 20 -i http://${forbidden}/`,
    /403[\s\S]*x-slopbox-deny: no_rule/i,
  ],
  [
    'curl that ignores proxies',
    `curl -sS -m 20 -i --noproxy '*' --resolve ${forbidden}:80:198.18.0.1 http://${forbidden}/`,
    /403[\s\S]*x-slopbox-deny: no_rule/i,
  ],
  [
    'TLS that ignores proxies',
    `curl -sS -m 20 -i --noproxy '*' --resolve ${forbidden}:443:198.18.0.1 https://${forbidden}/ 2>&1`,
    /403[\s\S]*x-slopbox-deny: no_rule|alert|SSL|reset|closed/i,
  ],
  ['an address instead of a name', "curl -sS -m 20 -i --noproxy '*' http://192.0.2.7/", /403[\s\S]*x-slopbox-deny/i],
  ['another port', "curl -sS -m 5 --noproxy '*' http://192.0.2.7:8080/ 2>&1; echo status $?", /status (7|28)/],
  [
    "the machine's own loopback by alias spelling",
    'curl -sS -m 20 -i http://127.0.0.1.nip.io/',
    /403[\s\S]*x-slopbox-deny/i,
  ],
  ['the name itself', `getent ahosts ${forbidden} || echo no such name`, /no such name/],
] as const
for (const [name, line, wanted] of attempts) {
  test(`from inside, a host that is not allowed stays out of reach: ${name}`, async () => {
    const result = await inside(line)
    assert.match(result.stdout + result.stderr, wanted)
  })
}

test('what was refused is in the audit log, and can be allowed', async () => {
  const denied = await eventually(
    'audit',
    20,
    async () => (await world.client.egress.audit({ agentId: agent.id, decision: 'deny', host: forbidden })).items,
    (items) => items.some((r) => r.kind === 'dns') && items.some((r) => r.kind === 'http'),
  )
  assert.ok(denied.every((record) => record.reason !== null && record.sandboxId === agent.sandbox?.id))
  const before = await world.client.egress.check(agent.id, `https://${forbidden}/`)
  assert.equal(before.action, 'deny')
})

test('a call that would loosen the lock-down is refused at the door and audited', async () => {
  const reply = await callFromPage(ui, 'config.patch', { raw: '{}', baseHash: 'x' })
  assert.equal(reply.ok, false)
  assert.equal(reply.error?.code, 'FORBIDDEN')
  const tools = await callFromPage(ui, 'tools.invoke', { tool: 'exec', args: {} })
  assert.equal(tools.ok, false)
  const http = await ui.evaluate("fetch('/tools/invoke', { method: 'POST', body: '{}' }).then((r) => r.status)")
  assert.ok([403, 404].includes(Number(http)), `POST /tools/invoke answered ${String(http)}`)
  await eventually(
    'audit',
    20,
    async () => (await world.client.egress.audit({ agentId: agent.id, decision: 'deny' })).items,
    (items) =>
      items.some(
        (r) => r.kind === 'rpc' && r.reason === 'method_blocked' && JSON.stringify(r).includes('config.patch'),
      ),
  )
})

test('usage shows bytes and tokens', async () => {
  const usage = await eventually(
    'usage',
    60,
    () => world.client.agents.usage(agent.id),
    (u) =>
      u.totals.model_requests > 0 &&
      u.totals.gateway_out_bytes > 0 &&
      u.totals.cpu_ms > 0 &&
      u.totals.egress_out_bytes > 0,
  )
  assert.equal(usage.totals.model_input_tokens, usage.totals.model_requests * promptTokens)
  assert.equal(usage.totals.model_output_tokens, usage.totals.model_requests * answerTokens)
  assert.equal(usage.totals.model_requests, model.calls.length)
})

test('to another user all of it does not exist', async () => {
  await world.client.admin.createUser({
    email: 'eve@example.org',
    name: 'Eve',
    password: 'a long enough password',
    role: 'user',
  })
  const login = await cli(world, ['login', '--email', 'eve@example.org'], {
    input: 'a long enough password',
    home: 'eve',
  })
  assert.equal(login.status, 0, login.stderr)
  for (const args of [
    ['agent', 'get', agent.id],
    ['agent', 'logs', agent.id],
    ['agent', 'chat', agent.id, 'hi'],
    ['agent', 'stop', agent.id],
    ['sandbox', 'exec', agent.sandbox?.id ?? '', '--', 'true'],
    ['usage', '--agent', agent.id],
  ]) {
    const result = await cli(world, ['--json', ...args], { home: 'eve' })
    assert.equal(JSON.parse(result.stderr.trim().split('\n').at(-1) ?? '').error.code, 'not_found', args.join(' '))
  }
  const list = await cli(world, ['--json', 'agent', 'list'], { home: 'eve' })
  assert.deepEqual(JSON.parse(list.stdout), [])
})

test('stopping cuts the open chat at once; starting again keeps the workspace', async () => {
  assert.equal((await inside('echo kept > ~/workspace/note.txt')).code, 0)
  const open = await rememberOpenSockets(ui)
  assert.ok(open > 0, 'the chat page has an open socket')
  await world.client.agents.stop(agent.id)
  await eventually(
    'the chat',
    5,
    () => closedSockets(ui),
    (closed) => closed === open,
  )
  await eventually('the agent', 60, refresh, (a) => a.state === 'stopped')
  await world.client.agents.start(agent.id)
  await eventually('the agent', 300, refresh, (a) => a.state === 'running')
  assert.equal((await inside('cat ~/workspace/note.txt')).stdout, 'kept\n')
})

test('the budget stops it, raising it brings it back', async () => {
  const me = await world.client.account.me()
  const tight = await world.client.admin.createPlan({ name: 'Tight', bandwidthGiB: 0, overageCentsPerGiB: 100_000 })
  const plan = (await world.client.usage.get()).plan
  try {
    await world.client.admin.assignPlan(me.team.id, tight.id)
    const stopped = await eventually('the agent', 60, refresh, (a) => a.state === 'stopped')
    assert.match(stopped.reason ?? '', /budget/)
    await world.client.usage.setBudget(100_000)
    await eventually('the agent', 300, refresh, (a) => a.state === 'running')
  } finally {
    await world.client.admin.assignPlan(me.team.id, plan.id)
  }
})

test('a machine elsewhere is the agent by its token: same denial, and none without it', async () => {
  const made = await cli(world, ['agent', 'proxy-token', 'Ada'])
  assert.equal(made.status, 0, made.stderr)
  const proxy = /^export http_proxy=(http:\/\/\S+)$/m.exec(made.stdout)?.[1] ?? assert.fail(made.stdout)
  const bare = proxy.replace(/\/\/.*@/, '//')
  const denial = async (through: string): Promise<string> =>
    (await curl('--proxy', through, `http://${forbidden}/`)).match(/^HTTP\S* \d+|x-slopbox-deny: \w+/gim)?.join() ?? ''
  await eventually(
    'the proxy',
    5,
    () => denial(proxy),
    (said) => said === 'HTTP/1.1 403,X-Slopbox-Deny: no_rule',
  )
  assert.equal(await denial(bare), 'HTTP/1.1 407,X-Slopbox-Deny: unidentified')
  assert.equal((await cli(world, ['agent', 'proxy-token', 'Ada', '--revoke'])).status, 0)
  await eventually(
    'the proxy',
    5,
    () => denial(proxy),
    (said) => said.startsWith('HTTP/1.1 407'),
  )
})

test('destroyed, it leaves nothing', async () => {
  await page.bringToFront()
  await world.client.agents.destroy(agent.id)
  await eventually(
    'the agent list',
    60,
    () => world.client.agents.list(),
    ({ items }) => items.length === 0,
  )
  await assert.rejects(world.client.agents.get(agent.id), { code: 'not_found' })
  await eventually(
    'leftovers',
    60,
    () => leftovers(agent.sandbox?.id ?? ''),
    (found) => found.length === 0,
  )
})

test('the same from the command line', async () => {
  const made = await cli(
    world,
    ['--json', 'agent', 'create', 'Bo', '--model', 'fake-1', '--base-url', model.url, '--key-stdin', '--wait'],
    { input: key },
  )
  assert.equal(made.status, 0, made.stderr)
  const said = await cli(world, ['agent', 'chat', 'Bo', 'How many ships?'])
  assert.equal(said.status, 0, said.stderr)
  assert.match(said.stdout, new RegExp(answer))
  assert.equal((await cli(world, ['agent', 'new-session', 'Bo'])).status, 0)
  assert.match((await cli(world, ['agent', 'logs', 'Bo'])).stdout, /gateway/i)
  assert.match((await cli(world, ['allow', 'add', '*.example.org', '--agent', 'Bo'])).stdout, /allowed/)
  assert.match((await cli(world, ['allow', 'list', '--agent', 'Bo'])).stdout, /\*\.example\.org/)
  assert.match((await cli(world, ['secret', 'list'])).stdout, /model-/)
  assert.doesNotMatch((await cli(world, ['--json', 'secret', 'list'])).stdout, new RegExp(key))
  const stopped = await cli(world, ['--json', 'agent', 'stop', 'Bo', '--wait'])
  assert.equal(JSON.parse(stopped.stdout).state, 'stopped')
  assert.equal((await cli(world, ['agent', 'destroy', 'Bo', '--yes'])).status, 0)
  await eventually(
    'the agent list',
    60,
    () => world.client.agents.list(),
    ({ items }) => items.length === 0,
  )
})

test('whatever is killed while an agent comes up, works or goes, it ends in the same place', long, async () => {
  const ask = ['--json', 'agent', 'create', 'Cy', '--model', 'fake-1', '--base-url', model.url, '--key-stdin']
  const made = await cli(world, ask, { input: key })
  assert.equal(made.status, 0, made.stderr)
  agent = JSON.parse(made.stdout) as Agent
  // Nobody answers for a moment after each kill.
  const look = (): Promise<string> => world.client.agents.get(agent.id).then(({ state }) => state, String)
  for (const name of supervised) await killAndAwait(world, name)
  await eventually('the agent', 600, look, (state) => state === 'running')
  const sandboxId = (await refresh()).sandbox?.id ?? ''
  for (const name of supervised.toReversed()) await killAndAwait(world, name)
  await eventually('the agent', 60, look, (state) => state === 'running')
  const { sandbox } = await refresh()
  assert.equal(sandbox?.id, sandboxId)
  const said = await cli(world, ['agent', 'chat', 'Cy', 'How many ships?'])
  assert.match(said.stdout, new RegExp(answer), said.stderr)
  await world.client.agents.destroy(agent.id)
  for (const name of supervised) await killAndAwait(world, name)
  await eventually('the agent', 60, look, (state) => state.includes('no agent'))
  await eventually(
    'leftovers',
    120,
    () => leftovers(sandboxId),
    (found) => found.length === 0,
  )
})

test('no log holds the key, and stopping leaves the machine as it was', async () => {
  const logs = `${world.up.dataDir}/logs`
  for (const file of await readdir(logs))
    assert.ok(!(await readFile(`${logs}/${file}`, 'utf8')).includes(key), `${file} holds the key`)
  const instance = await world.instance()
  await world.stop()
  const wiped = await cli(world, ['down', '--wipe', '--data', world.up.dataDir])
  assert.equal(wiped.status, 0, wiped.stderr)
  assert.deepEqual(await leftovers(instance), [])
})
