import { SlopboxError } from '../contract/errors.ts'
import type { Output, Route } from '../contract/route.ts'
import { send, type ClientOptions, type Given } from './call.ts'

/** The events of a stream route, as they come. Leaving the loop early closes the connection. */
export async function* stream<R extends Route>(
  options: ClientOptions,
  route: R,
  given: Given<R>,
): AsyncGenerator<Output<R>, void, undefined> {
  const leave = new AbortController()
  const signal = given.signal === undefined ? leave.signal : AbortSignal.any([given.signal, leave.signal])
  const response = await send(options, route, { ...given, signal })
  if (response.body === null) return
  try {
    for await (const data of eventData(response.body)) {
      const event = route.reply.safeParse(JSON.parse(data))
      if (!event.success)
        throw new SlopboxError('internal', `${route.id}: an event has an unexpected shape`, { cause: event.error })
      yield event.data as Output<R>
    }
  } finally {
    leave.abort()
  }
}

/** `data` of each server-sent event (WHATWG HTML §9.2.6); comments and other fields are passed over. */
export async function* eventData(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder()
  const reader = body.getReader()
  let rest = ''
  let data: string[] = []
  try {
    for (;;) {
      const { done, value } = await reader.read()
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true })
      const lines = rest.split(/\r\n|\n|\r(?!$)/)
      rest = lines.pop() ?? ''
      for (const line of lines) {
        if (line === '') {
          if (data.length > 0) yield data.join('\n')
          data = []
        } else if (line.startsWith('data:')) {
          data.push(line.slice(line.startsWith('data: ') ? 6 : 5))
        }
      }
      if (done) return
    }
  } finally {
    reader.releaseLock()
  }
}
