import assert from 'node:assert/strict'
import { test } from 'node:test'
import { askForUsage, createUsageReader, type ModelApi } from './model-usage.ts'
import type { ModelUse } from './steps/meter.ts'

const sse = (...events: (object | string)[]): string =>
  events.map((event) => `event: x\ndata: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`).join('')

const cases: { name: string; api: ModelApi; stream: boolean; body: string; expected: [number, number, number] }[] = [
  {
    name: 'a chat completion',
    api: 'openai-completions',
    stream: false,
    body: JSON.stringify({
      model: 'm',
      usage: { prompt_tokens: 12, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 4 } },
    }),
    expected: [12, 4, 5],
  },
  {
    name: 'a streamed chat completion',
    api: 'openai-completions',
    stream: true,
    body: sse(
      { model: 'm', choices: [{}], usage: null },
      { model: 'm', choices: [], usage: { prompt_tokens: 12, completion_tokens: 5 } },
      '[DONE]',
    ),
    expected: [12, 0, 5],
  },
  {
    name: 'a streamed chat completion with use in every chunk',
    api: 'openai-completions',
    stream: true,
    body: sse(...[1, 2, 3].map((n) => ({ model: 'm', usage: { prompt_tokens: 9, completion_tokens: n } }))),
    expected: [9, 0, 3],
  },
  {
    name: 'a response',
    api: 'openai-responses',
    stream: false,
    body: JSON.stringify({
      model: 'm',
      usage: { input_tokens: 7, output_tokens: 3, input_tokens_details: { cached_tokens: 2 } },
    }),
    expected: [7, 2, 3],
  },
  {
    name: 'a streamed response',
    api: 'openai-responses',
    stream: true,
    body: sse(
      { type: 'response.created', response: { model: 'm', usage: null } },
      { type: 'response.completed', response: { model: 'm', usage: { input_tokens: 7, output_tokens: 3 } } },
    ),
    expected: [7, 0, 3],
  },
  {
    name: 'a message',
    api: 'anthropic-messages',
    stream: false,
    body: JSON.stringify({
      model: 'm',
      usage: { input_tokens: 10, cache_read_input_tokens: 100, cache_creation_input_tokens: 5, output_tokens: 8 },
    }),
    expected: [115, 100, 8],
  },
  {
    name: 'a streamed message',
    api: 'anthropic-messages',
    stream: true,
    body: sse(
      {
        type: 'message_start',
        message: { model: 'm', usage: { input_tokens: 10, cache_read_input_tokens: 20, output_tokens: 1 } },
      },
      { type: 'content_block_delta', delta: { text: 'the "usage" of data:' } },
      { type: 'message_delta', usage: { output_tokens: 42 } },
    ),
    expected: [30, 20, 42],
  },
]
for (const { name, api, stream, body, expected } of cases)
  test(`${name} is counted once, however it is cut into chunks`, () => {
    for (const size of [1, 7, 64, 10_000]) {
      const reader = createUsageReader(api, stream)
      const learnt: ModelUse[] = []
      const bytes = Buffer.from(body.replaceAll('\n', size === 7 ? '\r\n' : '\n'))
      for (let at = 0; at < bytes.length; at += size) learnt.push(reader.push(bytes.subarray(at, at + size)))
      learnt.push(reader.end())
      const sum = (key: keyof ModelUse): number => learnt.reduce((total, use) => total + use[key], 0)
      assert.deepEqual([sum('inputTokens'), sum('cachedTokens'), sum('outputTokens')], expected)
      assert.equal(reader.model, 'm')
    }
  })

test('answers that report nothing, or nonsense, count nothing', () => {
  for (const body of [
    '',
    'not json',
    '{"usage":{"prompt_tokens":-5,"completion_tokens":"x"}}',
    '[1]',
    'null',
    '{"usage":[]}',
  ])
    for (const stream of [false, true]) {
      const reader = createUsageReader('openai-completions', stream)
      reader.push(Buffer.from(stream ? `data: ${body}\n\n` : body))
      reader.end()
      assert.deepEqual(reader.total, { inputTokens: 0, cachedTokens: 0, outputTokens: 0 })
    }
})

test('a streamed chat completion is asked for its use, anything else is left alone', () => {
  const ask = (api: ModelApi, body: object | string): unknown => {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const out = askForUsage(api, Buffer.from(text)).toString()
    return out === text ? 'same' : JSON.parse(out)
  }
  const chat = { model: 'm', messages: [], stream: true }
  assert.deepEqual(ask('openai-completions', chat), { ...chat, stream_options: { include_usage: true } })
  assert.deepEqual(ask('openai-completions', { ...chat, stream_options: { include_usage: false, x: 1 } }), {
    ...chat,
    stream_options: { include_usage: true, x: 1 },
  })
  assert.equal(ask('openai-completions', { ...chat, stream_options: { include_usage: true } }), 'same')
  assert.equal(ask('openai-completions', { ...chat, stream: false }), 'same')
  assert.equal(ask('openai-completions', 'broken {'), 'same')
  assert.equal(ask('openai-responses', chat), 'same')
  assert.equal(ask('anthropic-messages', chat), 'same')
})
