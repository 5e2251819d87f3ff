import type { z } from 'zod'
import { errorCodes, SlopboxError, type ErrorCode } from '../contract/errors.ts'
import { PtyServerMessage, type PtyClientMessage, type PtyStart, type TerminalSize } from '../contract/pty.ts'
import type { CommandExit } from '../contract/commands.ts'
import type { ClientOptions } from './call.ts'

export interface TerminalOptions extends Partial<Omit<z.input<typeof PtyStart>, 'type'>> {
  /** Called with each piece of output, in order. */
  onOutput: (bytes: Uint8Array) => void
}

/** A command at a terminal in a sandbox. */
export interface Terminal extends AsyncDisposable {
  write(input: string | Uint8Array): void
  resize(size: TerminalSize): void
  signal(signal: string): void
  /** Ends the command by closing the connection. */
  close(): void
  /** How it ended; rejects with the server's error, or `unavailable` when the connection broke. */
  readonly exited: Promise<CommandExit>
}

/** Node, Deno and Bun take headers for a WebSocket; browsers do not, and send the session's cookie instead. */
const HeaderSocket = globalThis.WebSocket as unknown as new (
  url: URL,
  options?: { headers: Record<string, string> },
) => WebSocket

/** Terminals: a shell, or any command, as a person would use it. */
export function pty(options: ClientOptions) {
  return {
    /** Opens a terminal; without a command it is a login shell. Resolves when the command runs. */
    async open(id: string, { onOutput, ...given }: TerminalOptions): Promise<Terminal> {
      if (HeaderSocket === undefined)
        throw new SlopboxError('invalid_request', 'this runtime has no WebSocket', { hint: 'Use Node 22 or newer.' })
      const url = new URL(`/v1/sandboxes/${encodeURIComponent(id)}/pty`, options.url ?? globalThis.location?.origin)
      url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
      const headers: Record<string, string> = {}
      if (options.apiKey !== undefined) headers['authorization'] = `Bearer ${options.apiKey}`
      if (options.userId !== undefined) headers['x-user-id'] = options.userId
      const socket = Object.keys(headers).length > 0 ? new HeaderSocket(url, { headers }) : new HeaderSocket(url)
      return await join(socket, { type: 'start', cols: 80, rows: 24, ...given }, onOutput)
    },
  }
}

async function join(
  socket: WebSocket,
  start: z.input<typeof PtyStart>,
  onOutput: TerminalOptions['onOutput'],
): Promise<Terminal> {
  const ready = Promise.withResolvers<void>()
  const end = Promise.withResolvers<CommandExit>()
  end.promise.catch(() => {})
  const fail = (error: SlopboxError): void => {
    ready.reject(error)
    end.reject(error)
    socket.close()
  }
  socket.binaryType = 'arraybuffer'
  socket.addEventListener('open', () => socket.send(JSON.stringify(start)))
  socket.addEventListener('message', ({ data }: MessageEvent<string | ArrayBuffer>) => {
    if (typeof data !== 'string') return onOutput(new Uint8Array(data))
    const message = PtyServerMessage.parse(JSON.parse(data))
    if (message.type === 'ready') ready.resolve()
    else if (message.type === 'error') fail(known(message))
    else end.resolve({ code: message.code, signal: message.signal, reason: message.reason })
  })
  socket.addEventListener('close', () =>
    fail(
      new SlopboxError('unavailable', 'the terminal was not opened, or its connection broke', {
        hint: 'Does the sandbox run, and is the key right? `slopbox sandbox get` tells.',
      }),
    ),
  )
  await ready.promise
  const tell = (message: PtyClientMessage): void => socket.send(JSON.stringify(message))
  const close = (): void => socket.close()
  return {
    write: (input) => socket.send(typeof input === 'string' ? new TextEncoder().encode(input) : new Uint8Array(input)),
    resize: ({ cols, rows }) => tell({ type: 'resize', cols, rows }),
    signal: (signal) => tell({ type: 'signal', signal }),
    close,
    exited: end.promise,
    async [Symbol.asyncDispose]() {
      close()
    },
  }
}

function known({ code, message, hint }: Extract<PtyServerMessage, { type: 'error' }>): SlopboxError {
  return new SlopboxError(Object.hasOwn(errorCodes, code) ? (code as ErrorCode) : 'internal', message, { hint })
}
