import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ModelCall {
  authorization: string | undefined
  path: string
  body: { model?: string; stream?: boolean; messages?: { role: string; content: unknown }[] }
}

export interface ModelServer extends AsyncDisposable {
  /** Endpoint with its version path, on loopback. */
  url: string
  calls: ModelCall[]
}

export const promptTokens = 1_200
export const answerTokens = 7

/** An OpenAI-compatible chat endpoint that answers every request with the same words and refuses every key but one. */
export async function startModelServer(key: string, answer: string): Promise<ModelServer> {
  const calls: ModelCall[] = []
  const server = createServer((request, response) => {
    void readBody(request).then((text) => {
      const call: ModelCall = {
        authorization: request.headers.authorization,
        path: request.url ?? '',
        body: text === '' ? {} : (JSON.parse(text) as ModelCall['body']),
      }
      calls.push(call)
      if (call.authorization !== `Bearer ${key}`) {
        response.writeHead(401, { 'content-type': 'application/json' })
        return response.end(JSON.stringify({ error: { message: 'wrong key', type: 'invalid_request_error' } }))
      }
      if (call.body.stream !== true) {
        response.writeHead(200, { 'content-type': 'application/json' })
        return response.end(
          JSON.stringify({
            id: 'c',
            object: 'chat.completion',
            model: 'fake-1',
            choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: answer } }],
            usage,
          }),
        )
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const chunk = (delta: object, more: object = {}): void =>
        void response.write(
          `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: 'fake-1', choices: [{ index: 0, delta, finish_reason: null }], ...more })}\n\n`,
        )
      chunk({ role: 'assistant', content: '' })
      for (const word of answer.split(/(?<= )/)) chunk({ content: word })
      response.write(
        `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: 'fake-1', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}\n\n`,
      )
      response.write(
        `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: 'fake-1', choices: [], usage })}\n\n`,
      )
      return response.end('data: [DONE]\n\n')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    calls,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const usage = {
  prompt_tokens: promptTokens,
  completion_tokens: answerTokens,
  total_tokens: promptTokens + answerTokens,
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk as Uint8Array))
  return Buffer.concat(chunks).toString('utf8')
}
