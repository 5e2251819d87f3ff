import type { Duplex } from 'node:stream'
import type { Socket } from 'node:net'
import type { Flow } from './flows.ts'
import type { Scrubber } from './scrub.ts'

export interface SpliceOptions {
  flow: Flow
  idleMs: number
  /** Applied to what the sandbox receives. */
  scrubber?: Scrubber
}

/**
 * Joins two sockets until both directions have ended or either breaks, counting before passing on. Half-closed
 * connections keep their open half. Calls `flow.end()` once, before the last byte's end is passed on.
 */
export function splice(client: Socket | Duplex, upstream: Socket, { flow, idleMs, scrubber }: SpliceOptions): void {
  let open = 2
  const close = (): void => {
    flow.end()
    client.destroy()
    upstream.destroy()
  }
  // One timer for both directions: a download does not look idle because nothing goes up.
  const idle = setTimeout(close, idleMs)
  const half = (from: Duplex, to: Duplex, pass: (chunk: Buffer) => Buffer, rest: () => Buffer | undefined): void => {
    from.on('data', (chunk: Buffer) => {
      idle.refresh()
      const bytes = pass(chunk)
      if (bytes.length > 0 && !to.write(bytes)) from.pause()
    })
    to.on('drain', () => from.resume())
    from.once('end', () => {
      open--
      if (open === 0) flow.end()
      to.end(rest())
    })
    from.on('error', close)
    from.once('close', () => {
      if (!from.readableEnded) close()
      else if (open === 0) clearTimeout(idle)
    })
  }
  half(
    client,
    upstream,
    (chunk) => {
      flow.pass('out', chunk.length)
      return chunk
    },
    () => undefined,
  )
  half(
    upstream,
    client,
    (chunk) => {
      flow.pass('in', chunk.length)
      return scrubber === undefined ? chunk : scrubber.push(chunk)
    },
    () => scrubber?.flush(),
  )
  upstream.once('close', () => clearTimeout(idle))
  if (client.destroyed || upstream.destroyed) close()
}
