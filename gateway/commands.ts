/** Background commands: each operation is one call of the host, which keeps them. */
import { text } from 'node:stream/consumers'
import * as api from '../contract/commands.ts'
import type { CommandEvent } from '../contract/commands.ts'
import { SlopboxError } from '../contract/errors.ts'
import type { Input, Route } from '../contract/route.ts'
import { channels, ControlFrame, type CommandCall } from '../contract/tunnel.ts'
import { encodeJsonFrame, readFrames } from '../lib/frames.ts'
import type { Duplex } from 'node:stream'
import { appCredentials } from './enter.ts'
import { toOutputEvent } from './output-events.ts'
import { answerEvents, answerJson } from './stream-answer.ts'
import type { Serve } from './stream-answer.ts'
import { readInput } from './stream-input.ts'

type Call = CommandCall extends infer C ? (C extends { sandboxId: string } ? Omit<C, 'sandboxId'> : never) : never

/** An operation that is answered with the host's one JSON value. */
function ask<R extends Route>(route: R, callOf: (input: Input<R>) => Call): { route: Route; serve: Serve } {
  const serve: Serve = async (deps, visit, response, params) => {
    const input = await readInput(route, visit, params)
    const target = { kind: 'sandbox', sandboxId: params['id'] ?? '' } as const
    const grant = await deps.authorizer.ask(appCredentials(visit), target, visit.gone)
    const call = encodeJsonFrame(channels.control, { ...callOf(input), sandboxId: grant.sandboxId })
    const stream = await deps.dialler.commands(grant, call, visit.gone)
    stream.end()
    answerJson(visit, response, route.status, route.reply.parse(JSON.parse(await text(stream))))
  }
  return { route, serve }
}

const output: Serve = async (deps, visit, response, params) => {
  const { params: path, query } = await readInput(api.commandOutput, visit, params)
  await answerEvents(deps, visit, response, { kind: 'sandbox', sandboxId: path.id }, async (grant) => {
    const call: CommandCall = { op: 'output', sandboxId: grant.sandboxId, commandId: path.commandId, from: query.from }
    const stream = await deps.dialler.commands(grant, encodeJsonFrame(channels.control, call), visit.gone)
    stream.end()
    return { stream, events: readOutput(stream, query.from) }
  })
}

/** Each chunk is text or base64 by itself, so that a reader can go on behind any of them. */
async function* readOutput(stream: Duplex, from: number): AsyncGenerator<CommandEvent> {
  let position = from
  for await (const { channel, payload } of readFrames(stream)) {
    if (channel === channels.stdout || channel === channels.stderr) {
      const event = toOutputEvent(channel === channels.stdout ? 'stdout' : 'stderr', payload)
      position += payload.length
      if (event !== undefined) yield { ...event, position }
    } else if (channel === channels.control) {
      const frame = ControlFrame.parse(JSON.parse(payload.toString('utf8')))
      if (frame.type === 'dropped') yield { ...frame, position: (position += frame.bytes) }
      if (frame.type === 'exit') return yield frame
    }
  }
  throw new SlopboxError('unavailable', 'the host closed the stream before the command ended')
}

export const commandRoutes: readonly { route: Route; serve: Serve }[] = [
  ask(api.startCommand, ({ body }) => ({ op: 'start', request: body })),
  ask(api.listCommands, () => ({ op: 'list' })),
  ask(api.getCommand, ({ params, query }) => ({ op: 'get', commandId: params.commandId, waitMs: query.waitMs })),
  { route: api.commandOutput, serve: output },
  ask(api.commandInput, ({ params, body }) => {
    const data = body.encoding === 'base64' ? body.data : Buffer.from(body.data).toString('base64')
    return { op: 'input', commandId: params.commandId, data, end: body.end }
  }),
  ask(api.signalCommand, ({ params, body }) => ({ op: 'signal', commandId: params.commandId, signal: body.signal })),
  ask(api.killCommand, ({ params }) => ({ op: 'kill', commandId: params.commandId })),
]
