import type { ServerHttp2Stream } from 'node:http2'
import { SlopboxError } from '../contract/errors.ts'
import { channels, CommandCall, type ControlFrame } from '../contract/tunnel.ts'
import { encodeJsonFrame, readFrames, writeAll, writeFrames } from '../lib/frames.ts'
import type { Commands } from './commands.ts'

export interface CommandDeps {
  commands: Commands
  /** Throws `not_found` unless the sandbox is on this host. */
  requireKnown: (sandboxId: string) => Promise<unknown>
  /** Throws `not_found` or `wrong_state` unless the sandbox can be reached. */
  requireRunning: (sandboxId: string) => Promise<void>
}

/** One call about background commands: a `CommandCall` frame in, JSON or the frames of the output out. */
export async function serveCommands(deps: CommandDeps, stream: ServerHttp2Stream): Promise<void> {
  const call = await readCall(stream)
  const gone = new AbortController()
  stream.once('close', () => gone.abort())
  await (call.op === 'start' ? deps.requireRunning(call.sandboxId) : deps.requireKnown(call.sandboxId))
  if (call.op === 'output') return await sendOutput(deps.commands, call, stream, gone.signal)
  const reply = await answer(deps.commands, call, gone.signal)
  if (stream.closed || stream.destroyed) return
  stream.respond({ ':status': 200, 'content-type': 'application/json' })
  stream.end(JSON.stringify(reply))
}

async function readCall(stream: ServerHttp2Stream): Promise<CommandCall> {
  const { value } = await readFrames(stream).next()
  try {
    if (value?.channel === channels.control) return CommandCall.parse(JSON.parse(value.payload.toString('utf8')))
  } catch (cause) {
    throw new SlopboxError('invalid_request', 'unreadable call', { cause, hint: null })
  }
  throw new SlopboxError('invalid_request', 'the first frame must be a call', { hint: null })
}

async function answer(commands: Commands, call: CommandCall, signal: AbortSignal): Promise<unknown> {
  switch (call.op) {
    case 'start':
      return await commands.start(call.sandboxId, call.request)
    case 'list':
      return { items: commands.list(call.sandboxId) }
    case 'get':
      return await commands.get(call.sandboxId, call.commandId, call.waitMs, signal)
    case 'input':
      commands.input(call.sandboxId, call.commandId, Buffer.from(call.data, 'base64'), call.end)
      return { ok: true }
    case 'signal':
      commands.signal(call.sandboxId, call.commandId, call.signal)
      return { ok: true }
    case 'kill':
      return await commands.kill(call.sandboxId, call.commandId)
    case 'output':
      throw new Error('output is a stream')
  }
}

async function sendOutput(
  commands: Commands,
  call: Extract<CommandCall, { op: 'output' }>,
  stream: ServerHttp2Stream,
  signal: AbortSignal,
): Promise<void> {
  const events = commands.output(call.sandboxId, call.commandId, call.from, signal)
  stream.respond({ ':status': 200, 'content-type': 'application/octet-stream' })
  try {
    for await (const event of events) {
      if ('bytes' in event) await writeFrames(stream, channels[event.name], event.bytes)
      else if ('exit' in event) await writeControl(stream, { type: 'exit', ...event.exit })
      else await writeControl(stream, { type: 'dropped', bytes: event.dropped })
    }
    stream.end()
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

const writeControl = (stream: ServerHttp2Stream, frame: ControlFrame): Promise<void> =>
  writeAll(stream, encodeJsonFrame(channels.control, frame))
