import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { SlopboxError } from '../contract/errors.ts'
import type { Log } from '../lib/log.ts'
import { sendEvents } from '../lib/server-events.ts'
import type { Authorizer, Target } from './authorize.ts'
import type { Dialler } from './dial.ts'
import { appCredentials } from './enter.ts'
import type { Grant, Grants } from './grants.ts'
import { asKnown } from './pages.ts'
import type { Visit } from './visit.ts'

export interface StreamDeps {
  authorizer: Authorizer
  grants: Grants
  dialler: Dialler
  log: Log
}

/** Answers one operation; `params` are the named parts of its path. */
export type Serve = (
  deps: StreamDeps,
  visit: Visit,
  response: ServerResponse,
  params: Record<string, string>,
) => Promise<void>

/** Asks control, opens the host's stream, and passes its events on until it ends, the client goes or the grant ends. */
export async function answerEvents(
  deps: StreamDeps,
  visit: Visit,
  response: ServerResponse,
  target: Target,
  open: (grant: Grant) => Promise<{ stream: Duplex; events: AsyncIterable<unknown> }>,
): Promise<void> {
  const grant = await deps.authorizer.ask(appCredentials(visit), target, visit.gone)
  const { stream, events } = await open(grant)
  const ended = new SlopboxError('forbidden', 'access to this sandbox ended', {
    hint: 'It was stopped, or you signed out.',
  })
  const use = deps.grants.use(grant, () => stream.destroy(ended))
  const leave = (): void => void stream.destroy()
  visit.gone.addEventListener('abort', leave, { once: true })
  if (visit.gone.aborted) leave()
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
    'x-request-id': visit.requestId,
  })
  try {
    await sendEvents(response, events, visit.gone, (error) => describe(error, visit, deps.log))
  } finally {
    use.release()
    stream.destroy()
  }
}

function describe(error: unknown, visit: Visit, log: Log): unknown {
  const cut = error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE'
  const failure = cut ? new SlopboxError('unavailable', 'the connection to the host was lost', { cause: error }) : error
  return asKnown(failure, { requestId: visit.requestId, log }).toWire(visit.requestId)
}

/** Answers with one JSON value. */
export function answerJson(visit: Visit, response: ServerResponse, status: number, value: unknown): void {
  const body = JSON.stringify(value)
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'x-request-id': visit.requestId,
  })
  response.end(body)
}
