import type { ServerHttp2Stream } from 'node:http2'
import type { Readable, Writable } from 'node:stream'
import { SlopboxError, type ErrorCode } from '../contract/errors.ts'
import { maxListedFiles, type FileInfo } from '../contract/files.ts'
import { channels, FileCall } from '../contract/tunnel.ts'
import { encodeJsonFrame, readFrames, writeAll, type Frame } from '../lib/frames.ts'
import type { Driver, Execution } from './driver.ts'

export interface FileDeps {
  driver: Driver
  /** Throws `not_found` or `wrong_state` unless the sandbox can be reached. */
  requireRunning: (sandboxId: string) => Promise<void>
}

/** One call about files: a `FileCall` frame in, then what contract/tunnel.ts says of each. */
export async function serveFiles({ driver, requireRunning }: FileDeps, stream: ServerHttp2Stream): Promise<void> {
  const frames = readFrames(stream)
  const call = await readCall(frames)
  if (driver.files === undefined) throw new SlopboxError('wrong_state', `driver ${driver.name} cannot reach files`)
  await requireRunning(call.sandboxId)
  const work = await driver.files(call.sandboxId, call.user, wordsOf(call))
  // A write is not killed: at the early end of its input it takes away what it began.
  const leave = (): void => void (call.op === 'write' ? work.stdin.destroy() : work.kill('SIGKILL'))
  stream.once('close', leave)
  if (stream.closed) leave()
  work.exited.catch(() => {})
  const said = collect(work.stderr)
  try {
    const lines = new Lines(work.stdout)
    const first = await lines.next()
    if (first === undefined)
      throw new SlopboxError('internal', 'the files of the sandbox cannot be reached', { cause: new Error(await said) })
    if (call.op === 'read') return await sendFile(work, lines, Number(okay(first)[1]), stream)
    okay(first)
    if (call.op === 'write') return await takeFile(work, lines, frames, stream)
    work.stdin.end()
    const reply = await readReply(call, lines)
    stream.respond({ ':status': 200, 'content-type': 'application/json' })
    stream.end(JSON.stringify(reply))
  } finally {
    // Done or not: what still runs of it has nobody to answer to.
    leave()
    stream.off('close', leave)
  }
}

async function readCall(frames: AsyncGenerator<Frame, void, undefined>): Promise<FileCall> {
  const { value } = await frames.next()
  try {
    if (value?.channel === channels.control) return FileCall.parse(JSON.parse(value.payload.toString('utf8')))
  } catch (cause) {
    throw new SlopboxError('invalid_request', 'unreadable call', { cause, hint: null })
  }
  throw new SlopboxError('invalid_request', 'the first frame must be a call', { hint: null })
}

const decimal = (mode: string | undefined): string => (mode === undefined ? '' : String(Number.parseInt(mode, 8)))

function wordsOf(call: FileCall): string[] {
  switch (call.op) {
    case 'read':
    case 'stat':
      return [call.op, call.path]
    case 'write':
      return [call.op, call.path, decimal(call.mode), call.append ? '1' : '']
    case 'list':
      return [call.op, call.path, String(call.depth), String(maxListedFiles)]
    case 'mkdir':
      return [call.op, call.path, decimal(call.mode)]
    case 'move':
      return [call.op, call.from, call.to]
    case 'chmod':
      return [call.op, call.path, decimal(call.mode)]
    case 'chown':
      return [call.op, String(call.uid), String(call.gid), call.path]
    case 'remove':
      return [call.op, call.path, call.recursive ? '1' : '']
  }
}

async function sendFile(work: Execution, lines: Lines, size: number, stream: ServerHttp2Stream): Promise<void> {
  stream.respond({ ':status': 200, 'content-type': 'application/octet-stream' })
  const head = Buffer.alloc(8)
  head.writeBigUInt64BE(BigInt(size))
  await writeAll(stream, head)
  // The end of the answer comes only after the helper's own: a file cut short must not look whole.
  for await (const chunk of lines.bytes()) await writeAll(stream, chunk)
  if ((await work.exited).code === 0) stream.end()
  else throw new SlopboxError('upstream_failed', 'the file changed while it was read')
}

/** Content goes in as chunks; the empty one makes it count. Its outcome may come early, when the disk is full. */
async function takeFile(
  work: Execution,
  lines: Lines,
  frames: AsyncGenerator<Frame, void, undefined>,
  stream: ServerHttp2Stream,
): Promise<void> {
  stream.respond({ ':status': 200, 'content-type': 'application/octet-stream' })
  void feed(frames, work.stdin).catch(() => work.stdin.destroy())
  const line = await lines.next()
  if (stream.closed || stream.destroyed) return
  const outcome = ((): unknown => {
    try {
      if (line === undefined) throw new SlopboxError('upstream_failed', 'writing broke off')
      return toInfo(line)
    } catch (error) {
      if (error instanceof SlopboxError) return error.toWire()
      throw error
    }
  })()
  stream.end(encodeJsonFrame(channels.control, outcome))
}

async function feed(frames: AsyncGenerator<Frame, void, undefined>, to: Writable): Promise<void> {
  for await (const { channel, payload } of frames) {
    if (channel !== channels.stdin && channel !== channels.stdinEnd) continue
    if (channel === channels.stdin && payload.length === 0) continue
    const head = Buffer.alloc(4)
    head.writeUInt32BE(channel === channels.stdinEnd ? 0 : payload.length)
    await writeAll(to, Buffer.concat([head, payload]))
    if (channel === channels.stdinEnd) return
  }
  throw new SlopboxError('invalid_request', 'the content broke off')
}

async function readReply(call: FileCall, lines: Lines): Promise<unknown> {
  if (call.op === 'remove') return { ok: true }
  if (call.op !== 'list') return toInfo((await lines.next()) ?? '')
  const items: FileInfo[] = []
  for (;;) {
    const line = await lines.next()
    if (line === undefined) throw new SlopboxError('upstream_failed', 'the listing broke off')
    if (line.startsWith('end ')) return { items, truncated: line === 'end 1' }
    items.push(toInfo(line))
  }
}

const textOf = (hex: string | undefined): string =>
  hex === undefined || hex === '-' ? '' : Buffer.from(hex, 'hex').toString('utf8')

/** Throws what an `error` line says; otherwise its words. */
function okay(line: string): string[] {
  const words = line.split(' ')
  if (words[0] !== 'error') return words
  const { code, hint } = faults[words[1] ?? ''] ?? { code: 'upstream_failed', hint: null }
  throw new SlopboxError(code, textOf(words[2]), { hint })
}

const faults: Readonly<Record<string, { code: ErrorCode; hint: string | null }>> = {
  ENOENT: { code: 'not_found', hint: null },
  EACCES: { code: 'forbidden', hint: 'Choose another `user`, such as root.' },
  EPERM: { code: 'forbidden', hint: 'Choose another `user`, such as root.' },
  EROFS: { code: 'forbidden', hint: 'This part of the sandbox cannot be changed.' },
  EISDIR: { code: 'conflict', hint: 'Name a file in it.' },
  ENOTDIR: { code: 'conflict', hint: 'A part of the path is not a directory.' },
  EEXIST: { code: 'conflict', hint: null },
  ENOTEMPTY: { code: 'conflict', hint: 'Remove it with `recursive`.' },
  EXDEV: { code: 'conflict', hint: 'The two are on different file systems: copy and remove instead.' },
  EBUSY: { code: 'conflict', hint: null },
  EINVAL: { code: 'invalid_request', hint: null },
  ELOOP: { code: 'invalid_request', hint: null },
  ENAMETOOLONG: { code: 'invalid_request', hint: null },
  ENOSPC: { code: 'no_capacity', hint: 'The disk is full: remove something first.' },
  EDQUOT: { code: 'no_capacity', hint: 'The disk is full: remove something first.' },
  EFBIG: { code: 'too_large', hint: null },
}

function toInfo(line: string): FileInfo {
  const [, type = '', mode, uid, gid, size, at, path, target] = okay(line)
  return {
    path: textOf(path),
    type: type === 'file' || type === 'directory' || type === 'link' ? type : 'other',
    mode: Number(mode).toString(8),
    uid: Number(uid),
    gid: Number(gid),
    size: Number(size),
    modifiedAt: new Date(Number(at) * 1000).toISOString(),
    target: type === 'link' ? textOf(target) : null,
  }
}

/** Lines at the beginning of a stream, and the bytes behind them. */
class Lines {
  readonly #chunks: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(from: Readable) {
    this.#chunks = from.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>
  }

  async next(): Promise<string | undefined> {
    for (;;) {
      const end = this.#rest.indexOf(10)
      if (end >= 0) {
        const line = this.#rest.toString('latin1', 0, end)
        this.#rest = this.#rest.subarray(end + 1)
        return line
      }
      const { value, done } = await this.#chunks.next()
      if (done === true) return undefined
      this.#rest = Buffer.concat([this.#rest, value])
    }
  }

  async *bytes(): AsyncGenerator<Buffer> {
    if (this.#rest.length > 0) yield this.#rest
    for (;;) {
      const { value, done } = await this.#chunks.next()
      if (done === true) return
      yield value
    }
  }
}

async function collect(from: Readable): Promise<string> {
  let text = ''
  for await (const chunk of from as AsyncIterable<Buffer>) if (text.length < 4096) text += chunk.toString('utf8')
  return text
}
