import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex, Readable } from 'node:stream'
import { agentLogs } from '../contract/agents.ts'
import { SlopboxError } from '../contract/errors.ts'
import type { Input, Output, Route } from '../contract/route.ts'
import type { ExecEvent } from '../contract/sandboxes.ts'
import { execInSandbox, LogLine, sandboxLogs } from '../contract/sandboxes.ts'
import { channels, ControlFrame } from '../contract/tunnel.ts'
import { issuesToText } from '../lib/faults.ts'
import { encodeFrame, encodeJsonFrame, readFrames, writeAll, writeFrames } from '../lib/frames.ts'
import type { Log } from '../lib/log.ts'
import { sendEvents } from '../lib/server-events.ts'
import type { Authorizer, Target } from './authorize.ts'
import { maxApiBodyBytes } from './control-pass.ts'
import type { Dialler } from './dial.ts'
import { appCredentials } from './enter.ts'
import { assertBodySize } from './forward.ts'
import type { Grant, Grants } from './grants.ts'
import { outputEvents } from './output-events.ts'
import { asKnown } from './pages.ts'
import type { Visit } from './visit.ts'

export interface StreamDeps {
  authorizer: Authorizer
  grants: Grants
  dialler: Dialler
  log: Log
}

/** An API operation that the gateway answers itself, because its bytes come from a host and never touch the database. */
export type StreamRoute = (deps: StreamDeps, visit: Visit, response: ServerResponse) => Promise<void>

/** The operation of the contract for this method and path; undefined when control answers it. */
export function findStream(method: string | undefined, path: string): StreamRoute | undefined {
  for (const { route, serve } of served) {
    const match = route.method === method ? pattern(route).exec(path) : null
    if (match !== null) return (deps, visit, response) => serve(deps, visit, response, match.groups ?? {})
  }
  return undefined
}

type Serve = (deps: StreamDeps, visit: Visit, response: ServerResponse, params: Record<string, string>) => Promise<void>

const exec: Serve = async (deps, visit, response, params) => {
  const { params: path, body } = await readInput(execInSandbox, visit, params)
  const target = { kind: 'sandbox', sandboxId: path.id } as const
  await answer(deps, visit, response, target, async (grant) => {
    const { stdin, ...request } = body
    const { sandboxId } = grant
    const start: ControlFrame = { type: 'start', sandboxId, request, keepStdin: stdin !== undefined }
    const stream = await deps.dialler.exec(grant, encodeJsonFrame(channels.control, start), visit.gone)
    return { stream, events: runCommand(stream, stdin) }
  })
}

const logsOf =
  (route: typeof sandboxLogs | typeof agentLogs, targetOf: (id: string) => Target): Serve =>
  async (deps, visit, response, params) => {
    const { params: path, query } = await readInput(route, visit, params)
    await answer(deps, visit, response, targetOf(path.id), async (grant) => {
      const at = `/logs?tail=${query.tail}&follow=${query.follow ? 1 : 0}`
      const stream = await deps.dialler.logs(grant, at, visit.gone)
      stream.end()
      return { stream, events: readLines(stream) }
    })
  }

const served: readonly { route: Route; serve: Serve }[] = [
  { route: execInSandbox, serve: exec },
  { route: sandboxLogs, serve: logsOf(sandboxLogs, (sandboxId) => ({ kind: 'sandbox', sandboxId })) },
  { route: agentLogs, serve: logsOf(agentLogs, (agentId) => ({ kind: 'agent', agentId })) },
]

function pattern(route: Route): RegExp {
  return new RegExp(`^${route.path.replaceAll(/:([a-z]+)/gi, '(?<$1>[^/]+)')}$`)
}

/** Asks control, opens the host's stream, and passes its events on until it ends, the client goes or the grant ends. */
async function answer(
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

async function* runCommand(stream: Duplex, stdin: string | undefined): AsyncGenerator<ExecEvent> {
  // Beside the reading, because a command may answer before it has read everything. When it breaks, reading breaks too.
  if (stdin !== undefined) sendInput(stream, stdin).catch(() => {})
  const output = outputEvents()
  for await (const { channel, payload } of readFrames(stream)) {
    if (channel === channels.stdout) yield* output.add('stdout', payload)
    else if (channel === channels.stderr) yield* output.add('stderr', payload)
    else if (channel === channels.control) {
      const frame = ControlFrame.parse(JSON.parse(payload.toString('utf8')))
      if (frame.type !== 'exit' && frame.type !== 'error') continue
      yield* output.end()
      yield frame
      return
    }
  }
  throw new SlopboxError('unavailable', 'the host closed the stream before the command ended')
}

async function sendInput(stream: Duplex, text: string): Promise<void> {
  if (text !== '') await writeFrames(stream, channels.stdin, Buffer.from(text))
  await writeAll(stream, encodeFrame(channels.stdinEnd, Buffer.alloc(0)))
}

const maxLineBytes = 1024 * 1024

async function* readLines(stream: Readable): AsyncGenerator<Output<typeof sandboxLogs>> {
  let rest = ''
  stream.setEncoding('utf8')
  for await (const chunk of stream as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > maxLineBytes)
      throw new SlopboxError('upstream_failed', `a log line is longer than ${maxLineBytes}`)
    for (const line of lines) if (line !== '') yield LogLine.parse(JSON.parse(line))
  }
  if (rest !== '') yield LogLine.parse(JSON.parse(rest))
}

async function readInput<R extends Route>(route: R, visit: Visit, params: Record<string, string>): Promise<Input<R>> {
  const query = Object.fromEntries(new URL(visit.request.url ?? '/', 'http://api').searchParams)
  const body = route.method === 'GET' ? {} : await readJson(visit.request, visit)
  return {
    params: parse('path', route, 'params', params),
    query: parse('query', route, 'query', query),
    body: parse('body', route, 'body', body),
  } as Input<R>
}

function parse(part: string, route: Route, key: 'params' | 'query' | 'body', value: unknown): unknown {
  const result = route[key].safeParse(value)
  if (result.success) return result.data
  // An id that cannot exist and one that does not are the same to the caller.
  if (key === 'params') throw new SlopboxError('not_found', `no such ${route.path.split('/')[2]?.replace(/s$/, '')}`)
  throw new SlopboxError('invalid_request', issuesToText(part, result.error.issues))
}

async function readJson(request: IncomingMessage, visit: Visit): Promise<unknown> {
  assertBodySize(visit, maxApiBodyBytes)
  if (!/^application\/json\b/.test(request.headers['content-type'] ?? ''))
    throw new SlopboxError('invalid_request', 'body must be JSON: send `Content-Type: application/json`')
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxApiBodyBytes)
      throw new SlopboxError('too_large', `request body is longer than ${maxApiBodyBytes} bytes`)
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch (cause) {
    throw new SlopboxError('invalid_request', 'body is not JSON', { cause })
  }
}
