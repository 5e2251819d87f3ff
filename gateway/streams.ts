import type { ServerResponse } from 'node:http'
import type { Duplex, Readable } from 'node:stream'
import { agentLogs } from '../contract/agents.ts'
import { SlopboxError } from '../contract/errors.ts'
import type { Output, Route } from '../contract/route.ts'
import type { ExecEvent } from '../contract/sandboxes.ts'
import { execInSandbox, LogLine, sandboxLogs } from '../contract/sandboxes.ts'
import { channels, ControlFrame } from '../contract/tunnel.ts'
import { encodeFrame, encodeJsonFrame, readFrames, writeAll, writeFrames } from '../lib/frames.ts'
import type { Target } from './authorize.ts'
import { commandRoutes } from './commands.ts'
import { fileRoutes } from './files.ts'
import { outputEvents } from './output-events.ts'
import { answerEvents } from './stream-answer.ts'
import type { Serve, StreamDeps } from './stream-answer.ts'
import { readInput } from './stream-input.ts'
import type { Visit } from './visit.ts'

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

const exec: Serve = async (deps, visit, response, params) => {
  const { params: path, body } = await readInput(execInSandbox, visit, params)
  const target = { kind: 'sandbox', sandboxId: path.id } as const
  await answerEvents(deps, visit, response, target, async (grant) => {
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
    await answerEvents(deps, visit, response, targetOf(path.id), async (grant) => {
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
  ...commandRoutes,
  ...fileRoutes,
]

function pattern(route: Route): RegExp {
  return new RegExp(`^${route.path.replaceAll(/:([a-z]+)/gi, '(?<$1>[^/]+)')}$`)
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
