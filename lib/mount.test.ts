import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, test } from 'node:test'
import { z } from 'zod'
import { SlopboxError } from '../contract/errors.ts'
import { route, stream } from '../contract/route.ts'
import type { Log } from './log.ts'
import { createApp, mount, mountFetch, mountStream } from './mount.ts'
import type { App } from './mount.ts'
import type { Claim } from './replies.ts'

const echo = route({
  id: 'echo',
  method: 'POST',
  path: '/echo/:id',
  status: 201,
  summary: '',
  params: z.strictObject({ id: z.string().max(5) }),
  query: z.strictObject({ limit: z.coerce.number().int().max(9).default(3) }),
  body: z.strictObject({ text: z.string(), more: z.strictObject({ n: z.int() }).optional() }),
  reply: z.object({ id: z.string(), limit: z.number(), text: z.string(), caller: z.string() }),
})
const get = route({ id: 'get', method: 'GET', path: '/get', summary: '', reply: z.object({ ok: z.boolean() }) })
const ticks = stream({ id: 'ticks', method: 'GET', path: '/ticks', summary: '', reply: z.object({ n: z.number() }) })

let app: App<string>
let logged: { fields: object; message: string }[]
let claims: Map<string, { hash: string; reply: { status: number; reply: unknown } | null }>

beforeEach(() => {
  logged = []
  claims = new Map()
  const write = (fields: object, message: string): void => void logged.push({ fields, message })
  const log: Log = { debug() {}, info: write, warn: write, error: write, child: () => log }
  app = createApp<string>({
    log,
    authenticate: async ({ headers }) => {
      if (headers.authorization === undefined) throw new SlopboxError('unauthenticated', 'no credentials')
      return headers.authorization
    },
    replies: {
      async begin(caller, key, hash): Promise<Claim> {
        const there = claims.get(`${caller} ${key}`)
        if (there === undefined) {
          claims.set(`${caller} ${key}`, { hash, reply: null })
          return { is: 'new' }
        }
        if (there.hash !== hash) return { is: 'other' }
        return there.reply === null ? { is: 'busy' } : { is: 'done', ...there.reply }
      },
      async finish(caller, key, status, reply) {
        const there = claims.get(`${caller} ${key}`)
        if (there !== undefined) there.reply = { status, reply }
      },
      async release(caller, key) {
        claims.delete(`${caller} ${key}`)
      },
    },
  })
})
afterEach(() => app[Symbol.asyncDispose]())

interface Sent {
  url?: string
  body?: unknown
  payload?: string
  headers?: Record<string, string>
}

async function post({ url = '/echo/a', body, payload, headers = {} }: Sent): Promise<{ status: number; body: never }> {
  const answer = await app.server.inject({
    method: 'POST',
    url,
    headers: { authorization: 'me', 'content-type': 'application/json', ...headers },
    payload: payload ?? JSON.stringify(body),
  })
  return { status: answer.statusCode, body: answer.json() as never }
}

function mountEcho(): void {
  mount(app, echo, async ({ params, query, body, caller }) => ({
    ...params,
    ...query,
    text: body.text,
    caller,
    extra: 1,
  }))
}

test('a handler gets what was parsed, and the reply has only what the contract declares', async () => {
  mountEcho()
  assert.deepEqual(await post({ url: '/echo/a?limit=7', body: { text: 'hi' } }), {
    status: 201,
    body: { id: 'a', limit: 7, text: 'hi', caller: 'me' },
  })
})

test('what does not fit is refused with the place and the limit, and never with the value', async () => {
  mountEcho()
  const cases: [Sent, string][] = [
    [{ body: { text: 1 } }, 'body.text: invalid input: expected string, received number'],
    [{ body: { text: 'x', more: { n: 1, secret: 'v' } } }, 'body.more: unrecognized key: "secret"'],
    [{ url: '/echo/a?limit=10', body: { text: 'x' } }, 'query.limit: too big: expected number to be <=9'],
    [
      { url: '/echo/a?limit=1&limit=2', body: { text: 'x' } },
      'query.limit: invalid input: expected number, received NaN',
    ],
    [{ url: '/echo/%00', body: { text: 'x' } }, 'path.id: contains U+0000 or half of a surrogate pair'],
    [{ url: '/echo/%zz', body: { text: 'x' } }, 'path: broken percent-encoding'],
    [{ body: { text: 'a\u0000' } }, 'body.text: contains U+0000 or half of a surrogate pair'],
    [{ payload: '{' }, 'body: not JSON'],
    [{ payload: `${'['.repeat(50_000)}"\\u0041"${']'.repeat(50_000)}` }, 'body: nested deeper than 64 levels'],
    [{ payload: 'text=x', headers: { 'content-type': 'text/plain' } }, 'content-type: must be application/json'],
  ]
  for (const [sent, message] of cases) {
    const answer = await post(sent)
    const { error } = answer.body as { error: { code: string; message: string; requestId: string } }
    assert.deepEqual([answer.status, error.code, error.message], [400, 'invalid_request', message])
    assert.match(error.requestId, /^rq/)
  }
})

test('what no id can look like is not found, like an id that nobody has', async () => {
  mountEcho()
  for (const [id, message] of [
    ['toolong', 'path.id: too big: expected string to have <=5 characters'],
    ['x'.repeat(5000), 'path: a part of it is too long'],
  ] as const) {
    const { status, body } = await post({ url: `/echo/${id}`, body: { text: 'x' } })
    const { error } = body as { error: { code: string; message: string } }
    assert.deepEqual([status, error.code, error.message], [404, 'not_found', message])
  }
})

test('a request id of the gateway is kept, anything else in its place is not', async () => {
  mountEcho()
  for (const [given, kept] of [
    ['rq0123456789abcdef', true],
    ['rq<script>', false],
  ] as const) {
    const { body } = await post({ body: {}, headers: { 'x-slopbox-request-id': given } })
    assert.equal((body as { error: { requestId: string } }).error.requestId === given, kept)
  }
})

test('a body above the limit is too large', async () => {
  mount(app, echo, async () => assert.fail('the handler was called'), { bodyLimit: 100 })
  const answer = await post({ body: { text: 'x'.repeat(200) } })
  assert.equal(answer.status, 413)
})

test('who asks is settled before the body is looked at', async () => {
  mountEcho()
  const answer = await app.server.inject({
    method: 'POST',
    url: '/echo/a',
    payload: '{',
    headers: { 'content-type': 'application/json' },
  })
  assert.equal(answer.statusCode, 401)
})

test('a bug answers without detail, and the log has the causes under the request id', async () => {
  mount(app, get, async () => {
    throw new Error('outer', { cause: new Error('password=hunter2') })
  })
  const answer = await app.server.inject({ method: 'GET', url: '/get', headers: { authorization: 'me' } })
  assert.equal(answer.statusCode, 500)
  assert.equal(answer.body.includes('hunter2') || answer.body.includes('outer'), false)
  const { requestId } = answer.json<{ error: { requestId: string } }>().error
  const line = logged.find((each) => 'requestId' in each.fields && each.fields.requestId === requestId)
  assert.match(JSON.stringify(line), /outer.*hunter2/)
})

test('a reply that is not what the contract says is a bug, not an answer', async () => {
  mount(app, get, async () => ({ ok: 'yes' as unknown as boolean }))
  const answer = await app.server.inject({ method: 'GET', url: '/get', headers: { authorization: 'me' } })
  assert.equal(answer.statusCode, 500)
})

test('a repeated write with the same key runs once per caller; another body under it is a conflict', async () => {
  let runs = 0
  mount(app, echo, async ({ params, query, body, caller }) => {
    runs += 1
    return { ...params, ...query, text: `${body.text} ${runs}`, caller }
  })
  const headers = { 'idempotency-key': 'k-1' }
  const first = await post({ body: { text: 'x' }, headers })
  assert.deepEqual(await post({ body: { text: 'x' }, headers }), first)
  assert.equal(runs, 1)
  assert.equal((await post({ body: { text: 'y' }, headers })).status, 409)
  await post({ body: { text: 'x' }, headers: { ...headers, authorization: 'you' } })
  assert.equal(runs, 2)
  assert.equal((await post({ body: { text: 'x' }, headers: { 'idempotency-key': 'sp ace' } })).status, 400)
})

test('while the first is under way a repeat is a conflict, and after its failure it runs again', async () => {
  const entered = Promise.withResolvers<void>()
  const leave = Promise.withResolvers<void>()
  let runs = 0
  mount(app, echo, async ({ params, query, body, caller }) => {
    runs += 1
    if (runs === 1) {
      entered.resolve()
      await leave.promise
      throw new SlopboxError('unavailable', 'not now')
    }
    return { ...params, ...query, text: body.text, caller }
  })
  const headers = { 'idempotency-key': 'k' }
  const first = post({ body: { text: 'x' }, headers })
  await entered.promise
  assert.equal((await post({ body: { text: 'x' }, headers })).status, 409)
  leave.resolve()
  assert.equal((await first).status, 503)
  assert.equal((await post({ body: { text: 'x' }, headers })).status, 201)
})

test('events are written as they come, and a failure half-way ends the stream with an error event', async () => {
  mountStream(app, ticks, async () =>
    (async function* () {
      yield { n: 1 }
      yield { n: 2 }
      throw new SlopboxError('upstream_failed', 'gone')
    })(),
  )
  const answer = await app.server.inject({ method: 'GET', url: '/ticks', headers: { authorization: 'me' } })
  assert.match(String(answer.headers['content-type']), /^text\/event-stream/)
  const data = answer.body.split('\n\n').filter((block) => block !== '' && !block.startsWith(':'))
  assert.deepEqual(data.slice(0, 2), ['data: {"n":1}', 'data: {"n":2}'])
  assert.match(data[2] ?? '', /^event: error\ndata: \{"error":\{"code":"upstream_failed","message":"gone"/)
})

test('a stream that fails before it begins answers like any operation', async () => {
  mountStream(app, ticks, async () => {
    throw new SlopboxError('not_found', 'no such thing')
  })
  const answer = await app.server.inject({ method: 'GET', url: '/ticks', headers: { authorization: 'me' } })
  assert.equal(answer.statusCode, 404)
})

test('when the reader leaves, the signal aborts and the source is closed', async () => {
  const closed = Promise.withResolvers<boolean>()
  mountStream(app, ticks, async ({ signal }) =>
    (async function* () {
      try {
        yield { n: 1 }
        await once(signal, 'abort')
      } finally {
        closed.resolve(signal.aborted)
      }
    })(),
  )
  await app.server.listen({ host: '127.0.0.1', port: 0 })
  const socket = connect((app.server.server.address() as AddressInfo).port, '127.0.0.1')
  socket.write('GET /ticks HTTP/1.1\r\nhost: x\r\nauthorization: me\r\n\r\n')
  let text = ''
  for await (const chunk of socket) {
    text += String(chunk)
    if (text.includes('data: {"n":1}')) break
  }
  socket.destroy()
  assert.equal(await closed.promise, true)
})

test('a mounted function of the Fetch standard gets bytes and headers, and sets several cookies', async () => {
  mountFetch(app, { methods: ['POST'], path: '/raw/*', origin: 'https://example.com' }, async (request) => {
    const headers = new Headers({ 'x-url': request.url })
    headers.append('set-cookie', 'a=1')
    headers.append('set-cookie', 'b=2')
    return new Response(`${request.headers.get('x-in')} ${await request.text()}`, { status: 202, headers })
  })
  const answer = await app.server.inject({
    method: 'POST',
    url: '/raw/x?y=1',
    headers: { 'x-in': 'in' },
    payload: '{"not": json',
  })
  assert.deepEqual([answer.statusCode, answer.body], [202, 'in {"not": json'])
  assert.equal(answer.headers['x-url'], 'https://example.com/raw/x?y=1')
  assert.deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2'])
})
