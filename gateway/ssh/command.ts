import type { Duplex } from 'node:stream'
import type { ServerChannel } from 'ssh2'
import { SlopboxError } from '../../contract/errors.ts'
import type { TerminalSize } from '../../contract/pty.ts'
import { channels, ControlFrame } from '../../contract/tunnel.ts'
import { encodeFrame, encodeJsonFrame, readFrames, writeAll, writeFrames } from '../../lib/frames.ts'
import type { Log } from '../../lib/log.ts'
import type { Dialler } from '../dial.ts'
import type { Grant } from '../grants.ts'
import { asKnown } from '../pages.ts'
import { tellFailure, untilClosed, writeTaken } from './channel.ts'

export interface CommandDeps {
  dialler: Dialler
  grant: Grant
  log: Log
}

export interface Running {
  /** Sends a signal by its name without `SIG` (RFC 4254 §6.9). */
  signal(name: string): void
  /** Tells the terminal its new size. */
  resize(size: TerminalSize): void
}

export interface Program {
  command: readonly string[]
  env: Readonly<Record<string, string>>
  /** A terminal instead of three streams. */
  terminal?: TerminalSize | undefined
}

/** What one command of a host may last at most. */
const timeoutMs = 24 * 3_600_000

/** What a client may say before the host has answered. */
const maxEarly = 100

/** Runs a program in the sandbox with the channel as its standard streams, and ends the channel with its exit. */
export function runCommand(deps: CommandDeps, channel: ServerChannel, { command, env, terminal }: Program): Running {
  const closed = untilClosed(channel)
  let stream: Duplex | undefined
  const early: ControlFrame[] = []
  const send = (frame: ControlFrame): void => {
    if (stream === undefined) early.push(...(early.length < maxEarly ? [frame] : []))
    else if (!stream.destroyed && !stream.writableEnded) stream.write(encodeJsonFrame(channels.control, frame))
  }
  const run = async (): Promise<void> => {
    const { sandboxId } = deps.grant
    const request = { command: [...command], env, timeoutMs }
    const start: ControlFrame = { type: 'start', sandboxId, request, keepStdin: true, terminal }
    stream = await deps.dialler.exec(deps.grant, encodeJsonFrame(channels.control, start), closed)
    closed.addEventListener('abort', () => stream?.destroy(), { once: true })
    for (const frame of early.splice(0)) send(frame)
    // Beside the output. When it breaks, the output breaks too.
    sendInput(channel, stream).catch(() => {})
    await passOutput(stream, channel, closed)
  }
  run()
    .catch(async (error: unknown) => {
      if (closed.aborted) return
      const cut = error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE'
      const failure = cut ? new SlopboxError('unavailable', 'the connection to the host was lost') : error
      await tellFailure(channel, asKnown(failure, { requestId: null, log: deps.log }), closed)
    })
    // The client left while it was told.
    .catch(() => {})
    .finally(() => stream?.destroy())
  return {
    signal(name) {
      if (/^[A-Z0-9]{1,16}$/.test(name)) send({ type: 'signal', signal: `SIG${name}` })
    },
    resize: (size) => send({ type: 'resize', ...size }),
  }
}

async function sendInput(channel: ServerChannel, stream: Duplex): Promise<void> {
  for await (const chunk of channel.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>)
    await writeFrames(stream, channels.stdin, chunk)
  await writeAll(stream, encodeFrame(channels.stdinEnd, Buffer.alloc(0)))
}

async function passOutput(stream: Duplex, channel: ServerChannel, closed: AbortSignal): Promise<void> {
  for await (const frame of readFrames(stream)) {
    if (frame.channel === channels.stdout) await writeTaken(channel, frame.payload, closed)
    else if (frame.channel === channels.stderr) await writeTaken(channel.stderr, frame.payload, closed)
    else if (frame.channel === channels.control) {
      const told = ControlFrame.parse(JSON.parse(frame.payload.toString('utf8')))
      if (told.type === 'error') throw new SlopboxError('wrong_state', told.message, { hint: told.hint })
      if (told.type !== 'exit') continue
      if (told.code === null) channel.exit((told.signal ?? 'SIGKILL').replace(/^SIG/, ''), false, '')
      else channel.exit(told.code)
      channel.end()
      return
    }
  }
  throw new SlopboxError('unavailable', 'the host closed the stream before the command ended')
}
