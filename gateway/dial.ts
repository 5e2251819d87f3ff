import { Duplex } from 'node:stream'
import type { OutgoingHttpHeaders } from 'node:http2'
import { SlopboxError } from '../contract/errors.ts'
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
export type OpenStream = (
  hostId: string,
  headers: OutgoingHttpHeaders,
  options: { signal: AbortSignal; preface?: Uint8Array },
) => Promise<Duplex>

export interface Dialler {
  /** A connection to a port inside a sandbox, metered. */
  port(
    at: { hostId: string; sandboxId: string; trustingPort?: number | null | undefined },
    port: number,
    signal: AbortSignal,
  ): Promise<Duplex>
  /** The host's `/logs?…` of a sandbox, metered. */
  logs(at: { hostId: string; sandboxId: string }, path: string, signal: AbortSignal): Promise<Duplex>
  /** The host's `/exec`, metered. It answers once it has read `start`, so that goes ahead. */
  exec(at: { hostId: string; sandboxId: string }, start: Uint8Array, signal: AbortSignal): Promise<Duplex>
  /** The host's `/commands`, metered; `call` is its one frame. */
  commands(at: { hostId: string; sandboxId: string }, call: Uint8Array, signal: AbortSignal): Promise<Duplex>
  /** The host's `/files`, metered; `call` is its first frame. */
  files(at: { hostId: string; sandboxId: string }, call: Uint8Array, signal: AbortSignal): Promise<Duplex>
}

export function dialler(open: OpenStream, meterOf: (sandboxId: string) => ByteMeter): Dialler {
  const named = (sandboxId: string, method: string, path: string) => ({
    ':method': method,
    ':path': path,
    'x-slopbox-sandbox': sandboxId,
  })
  const begin = async (
    { hostId, sandboxId }: { hostId: string; sandboxId: string },
    path: string,
    preface: Uint8Array,
    signal: AbortSignal,
  ): Promise<Duplex> => {
    const meter = meterOf(sandboxId)
    meter.in(preface.length)
    return new MeteredStream(await open(hostId, named(sandboxId, 'POST', path), { signal, preface }), meter)
  }
  return {
    async logs({ hostId, sandboxId }, path, signal) {
      return new MeteredStream(await open(hostId, named(sandboxId, 'GET', path), { signal }), meterOf(sandboxId))
    },
    exec: (at, start, signal) => begin(at, '/exec', start, signal),
    commands: (at, call, signal) => begin(at, '/commands', call, signal),
    files: (at, call, signal) => begin(at, '/files', call, signal),
    async port({ hostId, sandboxId, trustingPort }, port, signal) {
      if (port === trustingPort)
        throw new SlopboxError('forbidden', `port ${port} of ${sandboxId} is open to the agent's own page only`, {
          hint: "Open the agent's page in the console, or talk to the agent over the API.",
        })
      const headers = { ...named(sandboxId, 'POST', '/dial'), 'x-slopbox-port': port }
      return new MeteredStream(await open(hostId, headers, { signal }), meterOf(sandboxId))
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
