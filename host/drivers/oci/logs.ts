import { copyFile, open, stat, truncate } from 'node:fs/promises'
import type { LogLine } from '../../../contract/sandboxes.ts'
import { pause } from '../../../lib/loop.ts'
import { isMissing, readIfThere } from './layout.ts'

const maxBytes = 8 * 1024 * 1024
const followMs = 150
const maxLine = 64 * 1024

/**
 * Output of the start command. The process writes to the file by itself, so it needs nobody to live on; in return a line's
 * time is when its bytes were first seen here (usually within a second), and both of its outputs count as `stdout`.
 */
export class OutputLog {
  readonly #file: string
  readonly #old: string
  /** Sizes seen and when; the newest last. */
  #seen: { size: number; at: string }[] = []

  constructor(file: string, old: string) {
    this.#file = file
    this.#old = old
  }

  /** Notes how far the file has grown, and begins it anew when it is too large; the older half is kept once. */
  async observe(): Promise<void> {
    const found = await fileSize(this.#file)
    if (found === undefined) return
    if (found.size > maxBytes) {
      await copyFile(this.#file, this.#old)
      // Appending writers go on at the new end.
      await truncate(this.#file, 0)
      this.#seen = []
      return
    }
    const last = this.#seen.at(-1)
    if (last !== undefined && last.size >= found.size) return
    this.#seen.push({ size: found.size, at: last === undefined ? found.at : new Date().toISOString() })
    if (this.#seen.length > 4096) this.#seen = this.#seen.filter((_, index) => index % 2 === 1)
  }

  /** The last `tail` lines, then new ones until the signal aborts when `follow` is set. */
  async *read(options: { tail: number; follow: boolean; signal: AbortSignal }): AsyncGenerator<LogLine> {
    await this.observe()
    const text = (await readIfThere(this.#file)) ?? ''
    const lines = this.#lines(text)
    if (lines.length < options.tail) {
      const old = (await readIfThere(this.#old)) ?? ''
      const at = (await fileSize(this.#old))?.at ?? new Date().toISOString()
      lines.unshift(...split(old).lines.map((line) => ({ at, stream: 'stdout' as const, text: line })))
    }
    yield* options.tail === 0 ? [] : lines.slice(-options.tail)
    if (options.follow) yield* this.#follow(Buffer.byteLength(text), split(text).rest, options.signal)
  }

  #lines(text: string): LogLine[] {
    const { lines, rest } = split(text)
    if (rest !== '') lines.push(rest)
    let offset = 0
    let sample = 0
    return lines.map((line) => {
      offset += Buffer.byteLength(line) + 1
      while (sample < this.#seen.length - 1 && (this.#seen[sample]?.size ?? 0) < offset - 1) sample++
      return { at: this.#seen[sample]?.at ?? new Date().toISOString(), stream: 'stdout', text: line }
    })
  }

  /** `rest` has been shown already as an unfinished line; it is shown again only when more of it came. */
  async *#follow(from: number, rest: string, signal: AbortSignal): AsyncGenerator<LogLine> {
    let offset = from
    let pending: Buffer = Buffer.from(rest)
    while (!signal.aborted) {
      await this.observe()
      const size = (await fileSize(this.#file))?.size ?? 0
      if (size < offset) offset = 0
      if (size > offset) {
        const fresh = await readRange(this.#file, offset, size)
        offset += fresh.length
        const known = Buffer.concat([pending, fresh])
        // Only whole lines become text: a character may be cut in two at the end of what is there.
        const end = known.lastIndexOf(0x0a) + 1
        pending = known.subarray(end).subarray(-maxLine)
        const { lines } = split(known.subarray(0, end).toString('utf8'))
        for (const text of lines) yield { at: new Date().toISOString(), stream: 'stdout', text }
      } else await pause(followMs, signal)
    }
  }
}

function split(text: string): { lines: string[]; rest: string } {
  const lines = text.split('\n')
  return { rest: lines.pop() ?? '', lines }
}

async function fileSize(file: string): Promise<{ size: number; at: string } | undefined> {
  try {
    const found = await stat(file)
    return { size: found.size, at: found.mtime.toISOString() }
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

async function readRange(file: string, from: number, to: number): Promise<Buffer> {
  await using handle = await open(file, 'r')
  const buffer = Buffer.alloc(Math.min(to - from, 1024 * 1024))
  const { bytesRead } = await handle.read(buffer, 0, buffer.length, from)
  return buffer.subarray(0, bytesRead)
}
