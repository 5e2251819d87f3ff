import { once } from 'node:events'
import type { Writable } from 'node:stream'
import type { ServerChannel } from 'ssh2'
import { SlopboxError } from '../../contract/errors.ts'

/** Aborted when the channel closes, from whichever side. */
export function untilClosed(channel: ServerChannel): AbortSignal {
  const closed = new AbortController()
  channel.once('close', () => closed.abort())
  // A client that vanishes in the middle is no failure of ours.
  channel.on('error', () => closed.abort())
  return closed.signal
}

/** Writes and resolves when the client has taken it all; rejects when the channel closes first. */
export async function writeTaken(to: Writable, bytes: Uint8Array, closed: AbortSignal): Promise<void> {
  if (bytes.length === 0) return
  closed.throwIfAborted()
  const settled = new AbortController()
  const taken = new Promise<void>((resolve, reject) =>
    to.write(bytes, (error) => (error === null || error === undefined ? resolve() : reject(error))),
  )
  try {
    // A closed channel forgets what was to be written, and with it the callback.
    await Promise.race([
      taken,
      once(closed, 'abort', { signal: settled.signal }).then(() => {
        throw new SlopboxError('unavailable', 'the client closed the channel')
      }),
    ])
  } finally {
    settled.abort()
  }
}

/** Says on standard error why nothing happens, and ends as ssh itself does when it fails. */
export async function tellFailure(channel: ServerChannel, error: SlopboxError, closed: AbortSignal): Promise<void> {
  const hint = error.hint === null ? '' : `  ${error.hint}\r\n`
  await writeTaken(channel.stderr, Buffer.from(`slopbox: ${error.message}\r\n${hint}`), closed)
  channel.exit(255)
  channel.end()
}
