import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import { chatWithAgent, createAgent, resetAgentSession, stopAgent } from '../../contract/agents.ts'
import type { AuditRecord } from '../../contract/egress.ts'
import { SlopboxError } from '../../contract/errors.ts'
import { newId } from '../../contract/ids.ts'
import { insertAudit } from '../store/audit.ts'
import { startTestControl } from '../testing.ts'
import { testHost } from '../testing-host.ts'

/** Speaks as much of the OpenClaw gateway's protocol as was seen of the real one. */
interface FakeGateway extends AsyncDisposable {
  port: number
  headers: IncomingHttpHeaders[]
  calls: { method: string; params: Record<string, unknown> }[]
  /** What happens after `chat.send` was accepted. */
  onChat: (say: (payload: object) => void, socket: WebSocket) => void
}

async function startGateway(): Promise<FakeGateway> {
  const server = createServer()
  const sockets = new WebSocketServer({ server })
  const gateway: FakeGateway = {
    port: 0,
    headers: [],
    calls: [],
    onChat: () => {},
    async [Symbol.asyncDispose]() {
      for (const client of sockets.clients) client.terminate()
      server.close()
      await once(server, 'close')
    },
  }
  sockets.on('connection', (socket, request) => {
    gateway.headers.push(request.headers)
    const send = (frame: object): void => socket.send(JSON.stringify(frame))
    send({ type: 'event', event: 'connect.challenge', payload: { nonce: 'n' } })
    socket.on('message', (data: Buffer) => {
      const { id, method, params } = JSON.parse(data.toString()) as {
        id: string
        method: string
        params: Record<string, unknown>
      }
      gateway.calls.push({ method, params })
      if (method === 'sessions.reset' && params['key'] === 'refused')
        return send({ type: 'res', id, ok: false, error: { code: 'INVALID_REQUEST', message: 'no such session' } })
      send({ type: 'res', id, ok: true, payload: {} })
      if (method === 'chat.send')
        gateway.onChat(
          (payload) => send({ type: 'event', event: 'chat', payload: { runId: params['idempotencyKey'], ...payload } }),
          socket,
        )
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  gateway.port = (server.address() as AddressInfo).port
  return gateway
}

const gateway = await startGateway()
after(() => gateway[Symbol.asyncDispose]())
const dialled: { sandboxId: string; port: number }[] = []
const control = await startTestControl({
  dialSandbox: async ({ sandboxId }, port) => {
    dialled.push({ sandboxId, port })
    return connect(gateway.port, '127.0.0.1')
  },
})
after(() => control[Symbol.asyncDispose]())
const owner = await control.newUser('owner')
const mine = { key: owner.key }
const stranger = { key: (await control.newUser('stranger')).key }
const host = testHost(control)
await host.sync()
const model = { baseUrl: 'https://api.example.com/v1', id: 'm-1' }
const agent = await control.call(createAgent, { body: { name: 'Talker', model } }, mine)
const params = { id: agent.id }
await host.untilState(agent.sandbox?.id ?? '', 'running')

const fails = (code: string, message?: RegExp) => (error: unknown) =>
  error instanceof SlopboxError && error.code === code && (message === undefined || message.test(error.message))
const text = (said: string): object => ({ content: [{ type: 'text', text: said }] })

async function say(
  message: string,
  as: { key: string } = mine,
): Promise<{ status: number; events: unknown[]; body: unknown }> {
  const answer = await control.inject(chatWithAgent, { params, body: { message } }, as)
  const events = String(answer.body)
    .split('\n\n')
    .flatMap((block) => /^data: (.*)$/m.exec(block)?.[1] ?? [])
    .map((data): unknown => JSON.parse(data))
  return { status: answer.status, events, body: answer.body }
}

test('what is said reaches the agent as the user, and the answer comes as it grows', async () => {
  gateway.onChat = (event) => {
    event({ state: 'status', phase: 'starting_model' })
    event({ runId: 'another', state: 'delta', message: text('not mine') })
    event({ state: 'delta', message: text('Hel') })
    event({ state: 'final', message: text('Hello') })
  }
  const { status, events } = await say('hi')
  assert.equal(status, 200)
  assert.deepEqual(events, [
    { type: 'delta', text: 'Hel' },
    { type: 'final', text: 'Hello' },
  ])
  assert.deepEqual(dialled.at(-1), { sandboxId: agent.sandbox?.id, port: 18_789 })
  const headers = gateway.headers.at(-1) ?? {}
  assert.equal(headers['x-forwarded-user'], owner.id)
  assert.equal(headers['x-openclaw-scopes'], 'operator.read,operator.write,operator.questions')
  assert.equal(headers['x-forwarded-host'], `${agent.id}.agent.slopbox.localhost:8480`)
  assert.equal(headers.origin, undefined)
  const sent = gateway.calls.findLast((call) => call.method === 'chat.send')
  assert.deepEqual([sent?.params['sessionKey'], sent?.params['message']], ['main', 'hi'])
})

test('an error of the model ends the stream as one', async () => {
  gateway.onChat = (event) => event({ state: 'error', errorMessage: 'the key was refused' })
  assert.deepEqual((await say('hi')).events, [{ type: 'error', message: 'the key was refused' }])
})

test('an error of the model says what the gate saw of the call', async () => {
  gateway.onChat = (event) => event({ state: 'error', errorMessage: 'authentication failed' })
  const record: AuditRecord = {
    id: newId('audit'),
    at: new Date().toISOString(),
    source: 'egress',
    kind: 'http',
    decision: 'deny',
    reason: 'address_refused',
    rule: null,
    agentId: agent.id,
    sandboxId: agent.sandbox?.id ?? null,
    userId: null,
    actor: null,
    method: 'POST',
    host: 'model.slopbox.internal',
    port: 80,
    path: '/chat/completions',
    status: 403,
    bytesOut: 0,
    bytesIn: 0,
    durationMs: 1,
    detail: {},
  }
  await insertAudit(control.db, [{ record, teamId: agent.teamId }])
  const [event] = (await say('hi')).events as { type: string; message: string }[]
  assert.equal(event?.type, 'error')
  assert.match(event.message, /^authentication failed\n.*reserved or private address/)
  await control.db.deleteFrom('audit').where('id', '=', record.id).execute()
})

test('an answer that never came is an error, one whose end is empty keeps what was said', async () => {
  gateway.onChat = (event) => event({ state: 'final' })
  const [event] = (await say('hi')).events as { type: string; message: string }[]
  assert.match(event?.message ?? '', /without an answer/)
  gateway.onChat = (each) => {
    each({ state: 'delta', message: text('Hello') })
    each({ state: 'final' })
  }
  assert.deepEqual((await say('hi')).events.at(-1), { type: 'final', text: 'Hello' })
})

test('a connection that breaks before anything was heard is an error with its own status', async () => {
  gateway.onChat = (_event, socket) => socket.terminate()
  const { status, body } = await say('hi')
  assert.equal(status, 502)
  assert.match(JSON.stringify(body), /upstream_failed/)
})

test('a connection that breaks in the middle ends the stream with an error event', async () => {
  gateway.onChat = (event, socket) => {
    event({ state: 'delta', message: text('Hal') })
    setImmediate(() => socket.close(1012, 'service restart'))
  }
  const { events } = await say('hi')
  assert.deepEqual(events[0], { type: 'delta', text: 'Hal' })
  assert.match(JSON.stringify(events[1]), /upstream_failed.*1012 service restart/)
})

test('a reset is made with our own rights, and a refusal keeps the gateway’s words', async () => {
  await control.call(resetAgentSession, { params, body: {} }, mine)
  assert.equal(gateway.headers.at(-1)?.['x-forwarded-user'], 'control-plane')
  assert.deepEqual(gateway.calls.at(-1), { method: 'sessions.reset', params: { key: 'main' } })
  await assert.rejects(
    control.call(resetAgentSession, { params, body: { session: 'refused' } }, mine),
    fails('upstream_failed', /no such session/),
  )
})

test('strangers are answered with not found, and nothing is dialled for them', async () => {
  const before = dialled.length
  assert.equal((await say('hi', stranger)).status, 404)
  await assert.rejects(control.call(resetAgentSession, { params, body: {} }, stranger), fails('not_found'))
  assert.equal(dialled.length, before)
})

test('an agent that does not run is not dialled', async () => {
  await control.call(stopAgent, { params }, mine)
  await host.untilState(agent.sandbox?.id ?? '', 'stopped')
  const before = dialled.length
  const { status, body } = await say('hi')
  assert.equal(status, 409)
  assert.match(JSON.stringify(body), /cannot reach a sandbox that is stopped.*Start it first/)
  assert.equal(dialled.length, before)
})
