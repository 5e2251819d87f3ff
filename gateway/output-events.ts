import type { ExecEvent } from '../contract/sandboxes.ts'

type Name = 'stdout' | 'stderr'

export interface OutputEvents {
  add(name: Name, bytes: Buffer): ExecEvent[]
  /** What was held back at the end: half a character. */
  end(): ExecEvent[]
}

/**
 * Output as events: text where the bytes are UTF-8, else base64. A character cut in two by a chunk's end is held back
 * until its other half comes.
 */
export function outputEvents(): OutputEvents {
  const held: Record<Name, Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) }
  return {
    add(name, bytes) {
      const all = held[name].length === 0 ? bytes : Buffer.concat([held[name], bytes])
      const whole = all.subarray(0, all.length - cutCharacterBytes(all))
      const event = toOutputEvent(name, whole)
      // In bytes that are no text nothing is worth waiting for.
      if (event?.encoding === 'base64') {
        held[name] = Buffer.alloc(0)
        return [toOutputEvent(name, all) ?? event]
      }
      held[name] = Buffer.from(all.subarray(whole.length))
      return event === undefined ? [] : [event]
    },
    end: () =>
      (['stdout', 'stderr'] as const).flatMap((name) => {
        const event = toOutputEvent(name, held[name])
        held[name] = Buffer.alloc(0)
        return event ?? []
      }),
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** One chunk as an event, by itself; undefined when it is empty. */
export function toOutputEvent(name: Name, bytes: Buffer): Extract<ExecEvent, { type: Name }> | undefined {
  if (bytes.length === 0) return undefined
  try {
    return { type: name, data: decoder.decode(bytes), encoding: 'utf8' }
  } catch {
    // Not UTF-8: that is what base64 is for.
    return { type: name, data: bytes.toString('base64'), encoding: 'base64' }
  }
}

/** Bytes at the end that begin a character and do not finish it: 0 to 3 (RFC 3629 §3). */
function cutCharacterBytes(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0
    if ((byte & 0xc0) === 0x80) continue
    const length = byte >= 0xf0 && byte < 0xf8 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc2 ? 2 : 1
    return byte >= 0xf8 || length <= back ? 0 : back
  }
  return 0
}
