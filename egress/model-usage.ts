import type { PolicyAlias } from '../contract/sync.ts'
import type { ModelUse } from './steps/meter.ts'

export type ModelApi = NonNullable<PolicyAlias['modelApi']>

/**
 * Reads the use an endpoint reports from its answer, as it streams by. `push` is given bytes before they are passed on
 * and returns what was newly learnt. Events of a stream are read whole, never delayed; a JSON answer is read by `end`.
 */
export interface UsageReader {
  push(chunk: Buffer): ModelUse
  end(): ModelUse
  /** Name of the model as the endpoint gave it. */
  readonly model: string | null
  readonly total: ModelUse
}

/** Answers larger than this are passed on but not read. */
const maxBuffered = 32 * 1024 * 1024
const nothing: ModelUse = { inputTokens: 0, cachedTokens: 0, outputTokens: 0 }

export function createUsageReader(api: ModelApi, eventStream: boolean): UsageReader {
  let pending = ''
  let size = 0
  let model: string | null = null
  let total = nothing
  const decoder = new TextDecoder()

  // Reports are cumulative within one answer: only what goes beyond the report before is new.
  const learn = (report: Report | undefined): ModelUse => {
    if (report === undefined) return nothing
    model ??= report.model
    const next = merge(total, report.use)
    const fresh = subtract(next, total)
    total = next
    return fresh
  }
  const readLines = (): ModelUse => {
    let fresh = nothing
    const lines = pending.split(/\r\n|\n|\r/)
    pending = lines.pop() ?? ''
    for (const line of lines) {
      if (!line.startsWith('data:') || !line.includes('"usage"')) continue
      fresh = add(fresh, learn(readReport(api, line.slice(5))))
    }
    return fresh
  }
  return {
    push(chunk) {
      size += chunk.length
      if (!eventStream && size > maxBuffered) {
        pending = ''
        return nothing
      }
      pending += decoder.decode(chunk, { stream: true })
      if (!eventStream) return nothing
      if (pending.length > maxBuffered) pending = ''
      return readLines()
    },
    end() {
      if (eventStream) {
        pending += '\n'
        return readLines()
      }
      return size > maxBuffered ? nothing : learn(readReport(api, pending))
    },
    get model() {
      return model
    },
    get total() {
      return total
    },
  }
}

interface Report {
  model: string | null
  use: ModelUse
}

function readReport(api: ModelApi, text: string): Report | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // Not JSON: `data: [DONE]`, or an error page. There is no use in it.
    return undefined
  }
  const body = object(value)
  // The final event of a stream wraps the answer: `response` (OpenAI responses), `message` (Anthropic).
  const answer = object(body['response'] ?? body['message'] ?? body)
  const usage = object(answer['usage'] ?? body['usage'])
  const model = typeof answer['model'] === 'string' ? answer['model'].slice(0, 200) : null
  return { model, use: useOf(api, usage) }
}

function useOf(api: ModelApi, usage: Fields): ModelUse {
  switch (api) {
    case 'openai-completions':
      return {
        inputTokens: count(usage['prompt_tokens']),
        cachedTokens: count(object(usage['prompt_tokens_details'])['cached_tokens']),
        outputTokens: count(usage['completion_tokens']),
      }
    case 'openai-responses':
      return {
        inputTokens: count(usage['input_tokens']),
        cachedTokens: count(object(usage['input_tokens_details'])['cached_tokens']),
        outputTokens: count(usage['output_tokens']),
      }
    case 'anthropic-messages': {
      // Here `input_tokens` leaves out what was read from or written to the cache; everywhere else it is the whole.
      const cached = count(usage['cache_read_input_tokens'])
      return {
        inputTokens: count(usage['input_tokens']) + cached + count(usage['cache_creation_input_tokens']),
        cachedTokens: cached,
        outputTokens: count(usage['output_tokens']),
      }
    }
  }
}

type Fields = Record<string, unknown>
const object = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {})
const count = (value: unknown): number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value > 0 && value < 1e12 ? value : 0

type Combine = (a: number, b: number) => number
const combine = (a: ModelUse, b: ModelUse, how: Combine): ModelUse => ({
  inputTokens: how(a.inputTokens, b.inputTokens),
  cachedTokens: how(a.cachedTokens, b.cachedTokens),
  outputTokens: how(a.outputTokens, b.outputTokens),
})
const merge = (a: ModelUse, b: ModelUse): ModelUse => combine(a, b, Math.max)
const add = (a: ModelUse, b: ModelUse): ModelUse => combine(a, b, (x, y) => x + y)
const subtract = (a: ModelUse, b: ModelUse): ModelUse => combine(a, b, (x, y) => x - y)

/**
 * Asks a chat completion stream to report its use, unless the client already said what it wants. Anything that is not
 * such a request is returned as it is.
 */
export function askForUsage(api: ModelApi, body: Buffer): Buffer {
  if (api !== 'openai-completions') return body
  let value: unknown
  try {
    value = JSON.parse(body.toString('utf8'))
  } catch {
    // The endpoint will say what is wrong with it.
    return body
  }
  const request = object(value)
  if (request['stream'] !== true || !Array.isArray(request['messages'])) return body
  const options = object(request['stream_options'])
  if (options['include_usage'] === true) return body
  // A client that switched it off would be uncounted, so its word does not stand.
  return Buffer.from(JSON.stringify({ ...request, stream_options: { ...options, include_usage: true } }))
}
