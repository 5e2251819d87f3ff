import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { loop } from './loop.ts'

const keepAliveMs = 15_000

/**
 * Writes values as server-sent events (WHATWG HTML §9.2) until they end, fail or the reader is gone. A failure becomes one
 * `event: error` whose data is what `describe` makes of it. Comments keep idle connections open through proxies.
 */
export async function sendEvents(
  response: ServerResponse,
  values: AsyncIterable<unknown>,
  signal: AbortSignal,
  describe: (error: unknown) => unknown,
): Promise<void> {
  response.flushHeaders()
  const keepAlive = loop({
    everyMs: keepAliveMs,
    tick: async () => void (response.writable && response.write(': still here\n\n')),
    onError: () => {},
  })
  try {
    for await (const value of values) {
      if (signal.aborted) return
      if (!response.write(`data: ${JSON.stringify(value)}\n\n`)) await once(response, 'drain', { signal })
    }
  } catch (error) {
    if (!signal.aborted) response.write(`event: error\ndata: ${JSON.stringify(describe(error))}\n\n`)
  } finally {
    await keepAlive[Symbol.asyncDispose]()
    response.end()
  }
}
