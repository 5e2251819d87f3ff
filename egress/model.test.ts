import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import type { PolicyAlias } from '../contract/sync.ts'
import { createWorld, readAll, readUntil, type World } from './testing.ts'

const key = 'sk-model-key-0123456789'
interface Seen {
  url: string
  headers: IncomingMessage['headers']
  body: string
}

/** A model endpoint on loopback, as an operator might run one beside Slopbox. */
async function model(
  t: TestContext,
  answer: (seen: Seen, res: ServerResponse) => void,
): Promise<{ url: string; seen: Seen[] }> {
  const seen: Seen[] = []
  const server: Server = createServer((req, res) => {
    let body = ''
    req.on('data', (chunk: Buffer) => (body += chunk.toString()))
    req.on('end', () => {
      const one = { url: req.url ?? '', headers: req.headers, body }
      seen.push(one)
      answer(one, res)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/base/v1`, seen }
}

async function withModel(
  world: World,
  url: string,
  modelApi: PolicyAlias['modelApi'],
  allowedRanges = ['127.0.0.0/8'],
): Promise<void> {
  const secret = world.seal('model', key, [])
  const alias = { name: 'model.slopbox.internal', target: url, secretId: secret.id, modelApi }
  await world.allow({ secrets: [secret], aliases: [alias] }, { allowedRanges })
}

function post(world: World, path: string, body: object) {
  const text = JSON.stringify(body)
  const socket = world.dial('http')
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: model.slopbox.internal\r\nAuthorization: Bearer placeholder-model\r\nConnection: close\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  )
  return socket
}

const answers: Record<string, { api: PolicyAlias['modelApi']; path: string; body: object }> = {
  'chat completions': {
    api: 'openai-completions',
    path: '/chat/completions',
    body: {
      model: 'm',
      usage: { prompt_tokens: 11, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 3 } },
    },
  },
  responses: {
    api: 'openai-responses',
    path: '/responses',
    body: { model: 'm', usage: { input_tokens: 11, output_tokens: 7, input_tokens_details: { cached_tokens: 3 } } },
  },
  messages: {
    api: 'anthropic-messages',
    path: '/messages',
    body: { model: 'm', usage: { input_tokens: 8, cache_read_input_tokens: 3, output_tokens: 7 } },
  },
}
for (const [name, { api, path, body }] of Object.entries(answers))
  for (const streamed of [false, true])
    test(`${name}${streamed ? ', streamed,' : ''} go to the real endpoint with the real key and are counted`, async (t) => {
      const world = await createWorld(t)
      const endpoint = await model(t, (_seen, res) => {
        if (!streamed) return void res.setHeader('Content-Type', 'application/json').end(JSON.stringify(body))
        res.setHeader('Content-Type', 'text/event-stream')
        const wrapped =
          api === 'openai-responses' ? { response: body } : api === 'anthropic-messages' ? { message: body } : body
        res.write('data: {"delta":"first"}\n\n')
        res.write(`data: ${JSON.stringify(wrapped)}\n\n`)
        res.end('data: [DONE]\n\n')
      })
      await withModel(world, endpoint.url, api)
      const answer = await readAll(
        post(world, path, { model: 'm', messages: [{ content: 'private words' }], stream: streamed }),
      )
      assert.match(answer, /^HTTP\/1\.1 200/)
      assert.equal(endpoint.seen[0]?.url, `/base/v1${path}`)
      assert.equal(endpoint.seen[0]?.headers.authorization, `Bearer ${key}`)
      assert.equal(endpoint.seen[0]?.headers.host, new URL(endpoint.url).host)
      const sent = JSON.parse(endpoint.seen[0]?.body ?? '') as { stream_options?: unknown }
      assert.deepEqual(
        sent.stream_options,
        streamed && api === 'openai-completions' ? { include_usage: true } : undefined,
      )
      const record = await world.recorded(({ detail }) => detail['alias'] === 'model.slopbox.internal')
      assert.equal(record.host, 'model.slopbox.internal')
      assert.deepEqual(
        ['model', 'inputTokens', 'cachedTokens', 'outputTokens'].map((field) => record.detail[field]),
        ['m', 11, 3, 7],
      )
      assert.equal(await world.metered('model_requests', 1), 1)
      assert.equal(await world.metered('model_input_tokens', 11), 11)
      assert.equal(await world.metered('model_cached_tokens', 3), 3)
      assert.equal(await world.metered('model_output_tokens', 7), 7)
      assert.doesNotMatch(JSON.stringify(world.audit) + world.logged.join(''), /private words|sk-model|127\.0\.0\.1:/)
    })

test('an event is passed on when it comes, not when the next one does', async (t) => {
  const world = await createWorld(t)
  let next: (text: string) => void = () => assert.fail('not asked')
  const endpoint = await model(t, (_seen, res) => {
    res.setHeader('Content-Type', 'text/event-stream')
    res.flushHeaders()
    next = (text) => void res.write(`data: ${text}\n\n`)
  })
  await withModel(world, endpoint.url, 'openai-completions')
  const socket = post(world, '/chat/completions', { messages: [], stream: true })
  await readUntil(socket, (text) => text.includes('\r\n\r\n'))
  for (const text of ['{"a":1}', '{"usage":{"prompt_tokens":2,"completion_tokens":1}}']) {
    next(text)
    await readUntil(socket, (got) => got.includes('\n\n'))
  }
  assert.equal(await world.metered('model_input_tokens', 2), 2)
  socket.destroy()
  const record = await world.recorded(({ detail }) => detail['broken'] === 'client')
  assert.equal(record.detail['inputTokens'], 2)
})

test('an alias to loopback works only where the operator allowed that range', async (t) => {
  const world = await createWorld(t)
  const endpoint = await model(t, (_seen, res) => res.end('{}'))
  await withModel(world, endpoint.url, 'openai-completions', ['10.0.0.0/8'])
  assert.match(await readAll(post(world, '/x', {})), /^HTTP\/1\.1 502[\s\S]*X-Slopbox-Deny: address_refused/i)
  assert.equal((await world.recorded(() => true)).status, 502)
  assert.equal(endpoint.seen.length, 0)
})

test('an alias whose secret is gone, an unknown alias, and one over TLS are refused', async (t) => {
  const world = await createWorld(t)
  const endpoint = await model(t, (_seen, res) => res.end('{}'))
  const alias = { name: 'model.slopbox.internal', target: endpoint.url, secretId: 'scgone', modelApi: null }
  await world.allow({ aliases: [alias] }, { allowedRanges: ['127.0.0.0/8'] })
  assert.match(await readAll(post(world, '/x', {})), /secret_unavailable/)
  const socket = world.dial('http')
  socket.write('GET / HTTP/1.1\r\nHost: other.slopbox.internal\r\nConnection: close\r\n\r\n')
  assert.match(await readAll(socket), /no_rule/)
  const proxied = world.dial('proxy')
  proxied.write('CONNECT model.slopbox.internal:443 HTTP/1.1\r\nHost: model.slopbox.internal\r\n\r\n')
  assert.match(await readAll(proxied), /no_rule/)
  assert.equal(endpoint.seen.length, 0)
})

test('an alias also works through a tunnel, as Node’s own clients ask for plain HTTP', async (t) => {
  const world = await createWorld(t)
  const endpoint = await model(t, (_seen, res) => res.end('tunnelled'))
  await withModel(world, endpoint.url, 'openai-completions')
  const socket = world.dial('proxy')
  socket.write('CONNECT model.slopbox.internal:80 HTTP/1.1\r\nHost: model.slopbox.internal:80\r\n\r\n')
  await readUntil(socket, (text) => text.includes('\r\n\r\n'))
  socket.write('GET /models HTTP/1.1\r\nHost: model.slopbox.internal\r\nConnection: close\r\n\r\n')
  assert.match(await readAll(socket), /tunnelled/)
  assert.equal(endpoint.seen[0]?.url, '/base/v1/models')
  assert.equal(endpoint.seen[0]?.headers.authorization, `Bearer ${key}`)
})

test('an endpoint that is not there is a 502 that names only the alias', async (t) => {
  const world = await createWorld(t)
  await withModel(world, 'http://127.0.0.1:1/v1', 'openai-completions')
  const answer = await readAll(post(world, '/chat/completions', { messages: [] }))
  assert.match(answer, /^HTTP\/1\.1 502[\s\S]*connect_failed/)
  assert.doesNotMatch(answer, /127\.0\.0\.1/)
  assert.equal((await world.recorded(() => true)).reason, 'connect_failed')
})
