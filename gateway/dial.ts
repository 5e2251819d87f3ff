import { Duplex } from 'node:stream'
import type { OutgoingHttpHeaders } from 'node:http2'
import type { Meter } from '../contract/usage.ts'
import type { Counters } from '../lib/counters.ts'

/** Counts the bytes of one sandbox that pass through the gateway, as seen from the sandbox. */
export interface ByteMeter {
  /** To the sandbox. */
  in(bytes: number): void
  /** From the sandbox. */
  out(bytes: number): void
}

/** `wake` is told that there is something to report. */
export function byteMeter(counters: Counters<Meter>, wake: () => void, sandboxId: string): ByteMeter {
  return {
    in(bytes) {
      counters.add(sandboxId, 'gateway_in_bytes', bytes)
      wake()
    },
    out(bytes) {
      counters.add(sandboxId, 'gateway_out_bytes', bytes)
      wake()
    },
  }
}

/** Opens a stream to something on a host. Throws the host's SlopboxError, or `unavailable` when it has no tunnel here. */
export type OpenStream = (hostId: string, headers: OutgoingHttpHeaders, signal: AbortSignal) => Promise<Duplex>

export interface Dialler {
  /** A connection to a port inside a sandbox, metered. */
  port(at: { hostId: string; sandboxId: string }, port: number, signal: AbortSignal): Promise<Duplex>
  /** One of the host's own streams (`/exec`, `/logs?…`) for a sandbox, metered. */
  stream(at: { hostId: string; sandboxId: string }, method: string, path: string, signal: AbortSignal): Promise<Duplex>
}

export function dialler(open: OpenStream, meterOf: (sandboxId: string) => ByteMeter): Dialler {
  const stream: Dialler['stream'] = async (at, method, path, signal) =>
    new MeteredStream(
      await open(at.hostId, { ':method': method, ':path': path, 'x-slopbox-sandbox': at.sandboxId }, signal),
      meterOf(at.sandboxId),
    )
  return {
    stream,
    async port(at, port, signal) {
      const headers = { ':method': 'POST', ':path': '/dial', 'x-slopbox-sandbox': at.sandboxId, 'x-slopbox-port': port }
      return new MeteredStream(await open(at.hostId, headers, signal), meterOf(at.sandboxId))
    },
  }
}

/**
 * A duplex that counts each chunk before it passes it on, so that no crash can lose bytes that were delivered. Each
 * direction keeps its own back-pressure; destroying either end destroys the other.
 */
export class MeteredStream extends Duplex {
  readonly #inner: Duplex
  readonly #meter: ByteMeter

  constructor(inner: Duplex, meter: ByteMeter) {
    super({ allowHalfOpen: true })
    this.#inner = inner
    this.#meter = meter
    inner.on('data', (chunk: Buffer) => {
      this.#meter.out(chunk.length)
      if (!this.push(chunk)) inner.pause()
    })
    inner.on('end', () => this.push(null))
    inner.on('error', (error) => this.destroy(error))
    inner.on('close', () => {
      // A stream that closed without ending was cut: the reader must not take that for the end.
      if (!inner.readableEnded) this.destroy()
    })
    inner.pause()
  }

  override _read(): void {
    this.#inner.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#meter.in(chunk.length)
    this.#inner.write(chunk, done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#inner.end(done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#inner.destroy()
    done(error)
  }
}
