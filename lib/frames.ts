import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { SlopboxError } from '../contract/errors.ts'
import { maxFrameBytes } from '../contract/tunnel.ts'

/** One byte of channel, four of length (big endian), then the payload. */
const headerBytes = 5

export interface Frame {
  channel: number
  payload: Buffer
}

/** The bytes of one frame. Throws when the payload is longer than a frame may be: see `writeFrames`. */
export function encodeFrame(channel: number, payload: Uint8Array): Buffer {
  if (payload.length > maxFrameBytes)
    throw new SlopboxError('too_large', `frame of ${payload.length} bytes; at most ${maxFrameBytes} are allowed`)
  const frame = Buffer.allocUnsafe(headerBytes + payload.length)
  frame.writeUInt8(channel, 0)
  frame.writeUInt32BE(payload.length, 1)
  frame.set(payload, headerBytes)
  return frame
}

/** A frame whose payload is the value as JSON. */
export function encodeJsonFrame(channel: number, value: unknown): Buffer {
  return encodeFrame(channel, Buffer.from(JSON.stringify(value)))
}

/**
 * Writes the payload, cut into as many frames as it needs, and resolves when the other side can take more. Rejects when
 * the stream closes first.
 */
export async function writeFrames(to: Writable, channel: number, payload: Uint8Array): Promise<void> {
  for (let at = 0; at === 0 || at < payload.length; at += maxFrameBytes)
    await writeAll(to, encodeFrame(channel, payload.subarray(at, at + maxFrameBytes)))
}

/** Writes and waits until the stream wants more; rejects when it closes before that. */
export async function writeAll(to: Writable, bytes: Uint8Array): Promise<void> {
  if (to.destroyed || to.writableEnded) throw new SlopboxError('unavailable', 'stream is closed')
  if (to.write(bytes)) return
  const settled = new AbortController()
  try {
    await Promise.race([
      once(to, 'drain', { signal: settled.signal }),
      once(to, 'close', { signal: settled.signal }).then(() => {
        throw new SlopboxError('unavailable', 'stream closed before everything was written')
      }),
    ])
  } finally {
    settled.abort()
  }
}

/**
 * The frames of a byte stream, pulled one at a time, so that a slow consumer slows the sender down. Ends with the stream;
 * throws `invalid_request` for a frame that is too long or cut off. The stream itself is neither ended nor destroyed.
 */
export async function* readFrames(from: Readable): AsyncGenerator<Frame, void, undefined> {
  let pieces: Buffer[] = []
  let held = 0
  for await (const chunk of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    pieces.push(chunk)
    held += chunk.length
    if (held < wanted(pieces, held)) continue
    let bytes = Buffer.concat(pieces, held)
    while (bytes.length >= headerBytes) {
      const end = headerBytes + bytes.readUInt32BE(1)
      if (end > headerBytes + maxFrameBytes)
        throw new SlopboxError('invalid_request', `frame of ${end - headerBytes} bytes; at most ${maxFrameBytes}`)
      if (bytes.length < end) break
      yield { channel: bytes.readUInt8(0), payload: bytes.subarray(headerBytes, end) }
      bytes = bytes.subarray(end)
    }
    pieces = bytes.length === 0 ? [] : [bytes]
    held = bytes.length
  }
  if (held > 0) throw new SlopboxError('invalid_request', `stream ended ${held} bytes into a frame`)
}

/** How many bytes must be there before it is worth joining the pieces: a whole frame once its length is known. */
function wanted(pieces: readonly Buffer[], held: number): number {
  const [first] = pieces
  if (held < headerBytes || first === undefined || first.length < headerBytes) return headerBytes
  const length = first.readUInt32BE(1)
  // One that is too long is refused at once instead of being waited for.
  return length > maxFrameBytes ? headerBytes : headerBytes + length
}
