import { errorFromWire, SlopboxError } from '../contract/errors.ts'
import type { Output, Route } from '../contract/route.ts'
import { send, type ClientOptions, type Given } from './call.ts'

/**
 * The events of a stream route, as they come. A failure half-way throws the server's own error. Leaving the loop early
 * closes the connection.
 */
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
    for await (const { type, data } of serverEvents(response.body)) {
      const value: unknown = JSON.parse(data)
      if (type === 'error') throw errorFromWire(value) ?? new SlopboxError('internal', `${route.id}: the stream failed`)
      const event = route.reply.safeParse(value)
      if (!event.success)
        throw new SlopboxError('internal', `${route.id}: an event has an unexpected shape`, { cause: event.error })
      yield event.data as Output<R>
    }
  } finally {
    leave.abort()
  }
}

interface ServerEvent {
  type: string
  data: string
}

/** Server-sent events (WHATWG HTML §9.2.6); comments and fields we do not use are passed over. */
export async function* serverEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent, void, undefined> {
  const decoder = new TextDecoder()
  const reader = body.getReader()
  let rest = ''
  let data: string[] = []
  let type = 'message'
  try {
    for (;;) {
      const { done, value } = await reader.read()
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true })
      const lines = rest.split(/\r\n|\n|\r(?!$)/)
      rest = lines.pop() ?? ''
      for (const line of lines) {
        if (line === '') {
          if (data.length > 0) yield { type, data: data.join('\n') }
          data = []
          type = 'message'
        } else if (line.startsWith('data:')) {
          data.push(valueOf(line))
        } else if (line.startsWith('event:')) {
          type = valueOf(line)
        }
      }
      if (done) return
    }
  } finally {
    reader.releaseLock()
  }
}

/** What stands behind the colon, without one leading space. */
function valueOf(line: string): string {
  const text = line.slice(line.indexOf(':') + 1)
  return text.startsWith(' ') ? text.slice(1) : text
}
