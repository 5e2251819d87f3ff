import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chatWithAgent, getAgent } from '../contract/agents.ts'
import { SlopboxError } from '../contract/errors.ts'
import { getSettings } from '../contract/people.ts'
import { call } from './call.ts'
import { serverEvents, stream } from './stream.ts'

const answering =
  (status: number, body: string, seen: Request[] = []): typeof fetch =>
  async (input, init) => {
    seen.push(new Request(input, init))
    return new Response(body, { status })
  }

const bodyOf = (chunks: readonly Uint8Array[]): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk)
      controller.close()
    },
  })

const settings = JSON.stringify({ signUp: false, allowedRanges: [], extraRoots: '' })

test('the key goes into the Authorization header and the user into X-User-Id', async () => {
  const seen: Request[] = []
  await call({ url: 'http://x.test', apiKey: 'k', userId: 'u', fetch: answering(200, settings, seen) }, getSettings, {})
  assert.equal(seen[0]?.headers.get('authorization'), 'Bearer k')
  assert.equal(seen[0]?.headers.get('x-user-id'), 'u')
})

test('a path parameter cannot leave its segment', async () => {
  const seen: Request[] = []
  const wire = JSON.stringify({ error: { code: 'not_found', message: 'no agent', hint: null, requestId: null } })
  await assert.rejects(
    call({ url: 'http://x.test', fetch: answering(404, wire, seen) }, getAgent, { params: { id: '../keys?x' } }),
  )
  assert.equal(seen[0]?.url, 'http://x.test/v1/agents/..%2Fkeys%3Fx')
})

test("the server's error arrives as the same error, with code, hint and request id", async () => {
  const wire = JSON.stringify({
    error: { code: 'no_capacity', message: 'no room', hint: 'add a host', requestId: 'rq1' },
  })
  await assert.rejects(call({ url: 'http://x.test', fetch: answering(503, wire) }, getSettings, {}), (error) => {
    assert.ok(error instanceof SlopboxError)
    assert.deepEqual(
      [error.code, error.message, error.hint, error.requestId],
      ['no_capacity', 'no room', 'add a host', 'rq1'],
    )
    return true
  })
})

test('an address that is no Slopbox says so', async () => {
  await assert.rejects(call({ url: 'http://x.test', fetch: answering(200, '<html>') }, getSettings, {}), /without JSON/)
})

test('nobody listening reads as unavailable, with the next step', async () => {
  const refuse: typeof fetch = async () => {
    throw new TypeError('fetch failed')
  }
  await assert.rejects(
    call({ url: 'http://x.test', fetch: refuse }, getSettings, {}),
    (error) => error instanceof SlopboxError && error.code === 'unavailable' && /slopbox status/.test(error.hint ?? ''),
  )
})

test('an answer of another shape is refused, not passed on', async () => {
  await assert.rejects(
    call({ url: 'http://x.test', fetch: answering(200, '{"signUp":"yes"}') }, getSettings, {}),
    /unexpected shape/,
  )
})

const framings = [
  ['line feeds', ['data: {"a":1}\n\ndata: {"b":2}\n\n']],
  ['carriage returns and line feeds', ['data: {"a":1}\r\n\r\ndata: {"b":2}\r\n\r\n']],
  ['a border inside CR LF', ['data: {"a":1}\r', '\n\r', '\ndata: {"b":2}\r\n\r\n']],
  [
    'a border inside a character and comments between',
    [': hi\n', 'data: {"a":', '1}\n\n', ':\n\nevent: x\ndata:{"b":2}\n\n'],
  ],
] as const
for (const [name, chunks] of framings) {
  test(`server-sent events with ${name}`, async () => {
    const bytes = chunks.map((chunk) => new TextEncoder().encode(chunk))
    const found = await Array.fromAsync(serverEvents(bodyOf(bytes)))
    assert.deepEqual(
      found.map(({ data }) => JSON.parse(data)),
      [{ a: 1 }, { b: 2 }],
    )
  })
}

test('an event cut off by the end of the stream is not delivered', async () => {
  const body = bodyOf([new TextEncoder().encode('data: {"a":1}\n\ndata: {"b"')])
  assert.deepEqual(await Array.fromAsync(serverEvents(body)), [{ type: 'message', data: '{"a":1}' }])
})

test('a stream that fails half-way throws the error of the server after what came before', async () => {
  const wire = { error: { code: 'upstream_failed', message: 'the agent hung up', hint: null, requestId: 'rq2' } }
  const text = `data: {"type":"delta","text":"a"}\n\nevent: error\ndata: ${JSON.stringify(wire)}\n\n`
  const seen: unknown[] = []
  const reading = async (): Promise<void> => {
    const options = { url: 'http://x.test', fetch: answering(200, text) }
    for await (const event of stream(options, chatWithAgent, { params: { id: 'x' }, body: { message: 'hi' } }))
      seen.push(event)
  }
  await assert.rejects(reading(), { code: 'upstream_failed', message: 'the agent hung up', requestId: 'rq2' })
  assert.deepEqual(seen, [{ type: 'delta', text: 'a' }])
})
