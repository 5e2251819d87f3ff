import type { ServerHttp2Stream } from 'node:http2'
import { constants } from 'node:os'
import { SlopboxError } from '../contract/errors.ts'
import { channels, ControlFrame } from '../contract/tunnel.ts'
import { encodeJsonFrame, readFrames, writeAll, writeFrames, type Frame } from '../lib/frames.ts'
import type { Log } from '../lib/log.ts'
import type { Driver, Execution } from './driver.ts'

export interface ExecDeps {
  driver: Driver
  /** Throws `not_found` or `wrong_state` unless the sandbox can be reached. */
  requireRunning: (sandboxId: string) => Promise<void>
  log: Log
}

type Start = Extract<ControlFrame, { type: 'start' }>
type Reason = 'exited' | 'timeout' | 'killed'

/**
 * One command: `start` frame in, then input and signals in while output goes out; the last frame out is `exit` or
 * `error`. A caller that goes away takes the command with it.
 */
export async function serveExec(deps: ExecDeps, stream: ServerHttp2Stream): Promise<void> {
  const frames = readFrames(stream)
  const start = await readStart(frames)
  const { driver } = deps
  if (driver.exec === undefined) throw new SlopboxError('wrong_state', `driver ${driver.name} cannot run commands`)
  await deps.requireRunning(start.sandboxId)
  const { command, env, cwd, user, timeoutMs } = start.request
  const terminal = start.terminal === undefined ? {} : { terminal: start.terminal }
  const execution = await driver.exec(start.sandboxId, { command, env, cwd, user, ...terminal })
  if (start.terminal !== undefined && execution.resize === undefined) {
    execution.kill('SIGKILL')
    throw new SlopboxError('wrong_state', `driver ${driver.name} has no terminals`)
  }
  stream.respond({ ':status': 200, 'content-type': 'application/octet-stream' })
  let reason: Reason = 'exited'
  const kill = (why: Reason): void => {
    if (reason !== 'exited') return
    reason = why
    execution.kill('SIGKILL')
  }
  const timer = setTimeout(kill, timeoutMs, 'timeout')
  const onGone = (): void => kill('killed')
  stream.once('close', onGone)
  try {
    if (stream.closed) onGone()
    void feed(frames, execution, start.keepStdin).catch((error: unknown) => {
      if (!stream.closed) deps.log.debug({ sandboxId: start.sandboxId, err: error }, 'input of a command broke off')
      kill('killed')
    })
    const pumped = [drain(execution.stdout, stream, channels.stdout), drain(execution.stderr, stream, channels.stderr)]
    const end = await execution.exited
    await Promise.all(pumped)
    finish(stream, { type: 'exit', code: end.code, signal: end.signal, reason })
  } catch (error) {
    if (stream.closed || stream.destroyed) return
    deps.log.warn({ sandboxId: start.sandboxId, err: error }, 'command broke off')
    finish(stream, failureFrame(error))
  } finally {
    clearTimeout(timer)
    stream.off('close', onGone)
  }
}

async function readStart(frames: AsyncGenerator<Frame, void, undefined>): Promise<Start> {
  const { value } = await frames.next()
  const frame = value?.channel === channels.control ? parseControl(value.payload) : undefined
  if (frame?.type !== 'start')
    throw new SlopboxError('invalid_request', 'the first frame of an exec must be `start`', { hint: null })
  return frame
}

function parseControl(payload: Buffer): ControlFrame {
  const text = payload.toString('utf8')
  try {
    return ControlFrame.parse(JSON.parse(text))
  } catch (cause) {
    throw new SlopboxError('invalid_request', 'unreadable control frame', { cause, hint: null })
  }
}

async function feed(
  frames: AsyncGenerator<Frame, void, undefined>,
  execution: Execution,
  keepStdin: boolean,
): Promise<void> {
  const { stdin } = execution
  // A command may close its input early; what else is sent to it is dropped.
  stdin.on('error', () => {})
  if (!keepStdin) stdin.end()
  for await (const { channel, payload } of frames) {
    if (channel === channels.stdin && stdin.writable) await writeAll(stdin, payload).catch(() => {})
    else if (channel === channels.stdinEnd) stdin.end()
    else if (channel === channels.control) steer(execution, parseControl(payload))
  }
  // The caller said all it had to say: that is the end of input, not of the command.
  if (!stdin.writableEnded) stdin.end()
}

function steer(execution: Execution, frame: ControlFrame): void {
  if (frame.type === 'resize') execution.resize?.(frame)
  if (frame.type !== 'signal') return
  if (!(frame.signal in constants.signals))
    throw new SlopboxError('invalid_request', `unknown signal ${frame.signal}`, { hint: null })
  execution.kill(frame.signal as NodeJS.Signals)
}

/** Output goes on only as fast as the caller reads. Once the caller is gone it is thrown away, so that the command can end. */
async function drain(output: AsyncIterable<Buffer>, stream: ServerHttp2Stream, channel: number): Promise<void> {
  for await (const chunk of output) {
    if (stream.closed || stream.destroyed) continue
    await writeFrames(stream, channel, chunk).catch((error: unknown) => {
      if (!stream.closed && !stream.destroyed) throw error
    })
  }
}

function finish(stream: ServerHttp2Stream, frame: ControlFrame): void {
  if (stream.closed || stream.destroyed) return
  stream.end(encodeJsonFrame(channels.control, frame))
}

function failureFrame(error: unknown): ControlFrame {
  const known = error instanceof SlopboxError ? error : new SlopboxError('internal', 'the command broke off')
  return { type: 'error', code: known.code, message: known.message, hint: known.hint }
}
