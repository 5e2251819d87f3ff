import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

export interface SpoolOptions {
  /** Most bytes of records not yet acknowledged. When reached, new records are refused: a flood cannot erase what came before it. */
  maxBytes?: number
  /** A segment is closed at this size and deleted once everything in it is acknowledged. */
  segmentBytes?: number
}

export interface Batch<T> {
  records: T[]
  /** Hand this to `ack` once the records are safe elsewhere. */
  mark: Mark
}

export interface Mark {
  segment: number
  offset: number
}

/** Records wait on disk, in order, until acknowledged. What was appended survives SIGKILL; an unacknowledged record may be seen again. */
export interface Spool<T> extends Disposable {
  /** True when the record is in the file. False when the spool is full; then `refused` grows. Throws when the disk fails. */
  append(record: T): boolean
  /** The oldest records not yet acknowledged: at most `n`, and about `maxBytes` bytes, but at least one if there is any. */
  peek(n: number, maxBytes?: number): Batch<T>
  ack(mark: Mark): void
  /** Bytes not yet acknowledged. */
  readonly pendingBytes: number
  /** Whether `append` would refuse. */
  readonly full: boolean
  /** Records refused since the spool was opened. */
  readonly refused: number
}

/** Opens or creates the directory. A last line that was cut off by a crash is removed: it was never reported as appended. */
export function openSpool<T>(directory: string, options: SpoolOptions = {}): Spool<T> {
  const maxBytes = options.maxBytes ?? 256 * 1024 * 1024
  const segmentBytes = options.segmentBytes ?? 4 * 1024 * 1024
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const state = recover(directory)
  let refused = 0

  const rotate = (): void => {
    closeSync(state.fd)
    state.last++
    state.sizes.set(state.last, 0)
    state.fd = openSync(segmentPath(directory, state.last), 'a', 0o600)
  }
  const pending = (): number => {
    let bytes = -state.acked.offset
    for (const size of state.sizes.values()) bytes += size
    return bytes
  }
  return {
    append(record) {
      if (pending() >= maxBytes) {
        refused++
        return false
      }
      if ((state.sizes.get(state.last) ?? 0) >= segmentBytes) rotate()
      const size = state.sizes.get(state.last) ?? 0
      state.sizes.set(state.last, size + writeLine(state.fd, size, JSON.stringify(record)))
      return true
    },
    peek: (n, bytes = 1024 * 1024) => read<T>(directory, state, n, bytes),
    ack(mark) {
      const known = state.sizes.get(mark.segment)
      if (known === undefined || mark.offset > known || before(mark, state.acked)) return
      state.acked = { ...mark }
      writeFileSync(join(directory, 'acked.new'), JSON.stringify(mark), { mode: 0o600 })
      renameSync(join(directory, 'acked.new'), join(directory, 'acked'))
      for (const segment of state.sizes.keys()) if (segment < mark.segment) dropSegment(directory, state, segment)
    },
    get pendingBytes() {
      return pending()
    },
    get full() {
      return pending() >= maxBytes
    },
    get refused() {
      return refused
    },
    [Symbol.dispose]: () => closeSync(state.fd),
  }
}

interface State {
  /** Segment number → bytes of whole lines in it, ascending. */
  sizes: Map<number, number>
  last: number
  fd: number
  acked: Mark
}

const segmentPath = (directory: string, segment: number): string =>
  join(directory, `${String(segment).padStart(10, '0')}.jsonl`)
const before = (a: Mark, b: Mark): boolean => a.segment < b.segment || (a.segment === b.segment && a.offset < b.offset)

function recover(directory: string): State {
  const segments = readdirSync(directory)
    .flatMap((name) => /^(\d{10})\.jsonl$/.exec(name)?.[1] ?? [])
    .map(Number)
    .toSorted((a, b) => a - b)
  const saved = readAcked(directory)
  // Numbers never go back, so an old mark cannot point into a newer segment.
  const last = segments.at(-1) ?? saved?.segment ?? 1
  const fd = openSync(segmentPath(directory, last), 'a+', 0o600)
  ftruncateSync(fd, endOfLastLine(fd))
  const sizes = new Map(
    [...new Set([...segments, last])].map((n) => [n, statSync(segmentPath(directory, n)).size] as const),
  )
  const first = segments[0] ?? last
  let acked = saved ?? { segment: first, offset: 0 }
  if (acked.segment < first) acked = { segment: first, offset: 0 }
  acked.offset = Math.min(acked.offset, sizes.get(acked.segment) ?? 0)
  const state = { sizes, last, fd, acked }
  for (const segment of sizes.keys()) if (segment < acked.segment) dropSegment(directory, state, segment)
  return state
}

function readAcked(directory: string): Mark | undefined {
  let text: string
  try {
    text = readFileSync(join(directory, 'acked'), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const mark = JSON.parse(text) as Mark
  if (!Number.isSafeInteger(mark.segment) || !Number.isSafeInteger(mark.offset))
    throw new Error(`${join(directory, 'acked')} is not a mark of a spool`)
  return mark
}

function dropSegment(directory: string, state: State, segment: number): void {
  rmSync(segmentPath(directory, segment), { force: true })
  state.sizes.delete(segment)
}

/** Position after the last line feed. */
function endOfLastLine(fd: number): number {
  const chunk = Buffer.alloc(64 * 1024)
  for (let end = fstatSync(fd).size; end > 0;) {
    const start = Math.max(0, end - chunk.length)
    const found = chunk.subarray(0, readSync(fd, chunk, 0, end - start, start)).lastIndexOf(0x0a)
    if (found >= 0) return start + found + 1
    end = start
  }
  return 0
}

/** Writes one whole line or nothing: a short write (full disk) is taken back. Returns its length. */
function writeLine(fd: number, size: number, text: string): number {
  const line = Buffer.from(`${text}\n`)
  try {
    const written = writeSync(fd, line)
    if (written !== line.length)
      throw new Error(`only ${written} of ${line.length} bytes were written: is the disk full?`)
  } catch (error) {
    ftruncateSync(fd, size)
    throw error
  }
  return line.length
}

function read<T>(directory: string, state: State, n: number, maxBytes: number): Batch<T> {
  const records: T[] = []
  let mark = state.acked
  let bytes = 0
  for (const [segment, size] of state.sizes) {
    if (segment < mark.segment) continue
    let offset = segment === mark.segment ? mark.offset : 0
    const fd = openSync(segmentPath(directory, segment), 'r')
    try {
      while (offset < size && records.length < n && bytes < maxBytes) {
        const line = readLine(fd, offset, size)
        if (line.length === 0) break
        records.push(JSON.parse(line.toString('utf8')) as T)
        offset += line.length
        bytes += line.length
      }
    } finally {
      closeSync(fd)
    }
    mark = { segment, offset }
    if (records.length >= n || bytes >= maxBytes) break
  }
  return { records, mark }
}

function readLine(fd: number, offset: number, end: number): Buffer {
  for (let length = 4096; ; length *= 4) {
    const buffer = Buffer.alloc(Math.min(length, end - offset))
    const found = buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, offset)).indexOf(0x0a)
    if (found >= 0) return buffer.subarray(0, found + 1)
    if (length >= end - offset) return Buffer.alloc(0)
  }
}
