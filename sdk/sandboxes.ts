import type { Call, Output } from '../contract/route.ts'
import * as api from '../contract/sandboxes.ts'
import { call, type ClientOptions } from './call.ts'
import { commands } from './commands.ts'
import { files } from './files.ts'
import { allPages, type Page } from './pages.ts'
import { pty } from './pty.ts'
import { stream } from './stream.ts'
import { SlopboxError } from '../contract/errors.ts'

type Body<R> = Call<R> extends { body: infer B } ? B : never
type Query<R> = Call<R> extends { query: infer Q } ? Q : never

/** What a finished command left: its output as text (bytes that are not UTF-8 replaced) and how it ended. */
export interface ExecResult {
  stdout: string
  stderr: string
  code: number | null
  signal: string | null
  reason: 'exited' | 'timeout' | 'killed'
}

/** Sandboxes: create, run commands in, stop, kill. */
export function sandboxes(options: ClientOptions) {
  const by = (id: string) => ({ params: { id } })
  const list = (query: Query<typeof api.listSandboxes> = {}): Promise<Page<api.Sandbox>> =>
    call(options, api.listSandboxes, { query })
  const exec = (
    id: string,
    body: Body<typeof api.execInSandbox>,
    signal?: AbortSignal,
  ): AsyncGenerator<api.ExecEvent> =>
    stream(options, api.execInSandbox, { ...by(id), body, ...(signal ? { signal } : {}) })
  return {
    commands: commands(options),
    files: files(options),
    pty: pty(options),
    create: (body: Body<typeof api.createSandbox> = {}): Promise<api.Sandbox> =>
      call(options, api.createSandbox, { body }),
    list,
    /** Every sandbox that fits, page after page. */
    all: (filter: Omit<Query<typeof api.listSandboxes>, 'cursor' | 'limit'> = {}): AsyncGenerator<api.Sandbox> =>
      allPages((cursor) => list({ ...filter, cursor, limit: 200 })),
    get: (id: string): Promise<api.Sandbox> => call(options, api.getSandbox, by(id)),
    start: (id: string): Promise<api.Sandbox> => call(options, api.startSandbox, by(id)),
    stop: (id: string): Promise<api.Sandbox> => call(options, api.stopSandbox, by(id)),
    /** Freezes it with everything in it; resolves once it is. */
    pause: (id: string): Promise<api.Sandbox> => call(options, api.pauseSandbox, by(id)),
    /** Lets it go on; resolves once it does. */
    resume: (id: string, body: Body<typeof api.resumeSandbox> = {}): Promise<api.Sandbox> =>
      call(options, api.resumeSandbox, { ...by(id), body }),
    /** Its time is over in `timeoutMs` from now; null: never. */
    extend: (id: string, timeoutMs: number | null): Promise<api.Sandbox> =>
      call(options, api.extendSandbox, { ...by(id), body: { timeoutMs } }),
    kill: (id: string): Promise<{ ok: true }> => call(options, api.killSandbox, by(id)),
    /** Runs a command; its output as events while it runs. */
    exec,
    /** Runs a command to its end and collects the output. Throws when it could not be started. */
    async run(
      id: string,
      command: readonly string[],
      more: Omit<Body<typeof api.execInSandbox>, 'command'> = {},
      signal?: AbortSignal,
    ): Promise<ExecResult> {
      const out = { stdout: textOf(), stderr: textOf() }
      let end: ExecResult | undefined
      // Read to the end, although nothing follows the exit: a stream that is left early costs its connection.
      for await (const event of exec(id, { ...more, command: [...command] }, signal)) {
        if (event.type === 'exit')
          end = {
            stdout: out.stdout.end(),
            stderr: out.stderr.end(),
            code: event.code,
            signal: event.signal,
            reason: event.reason,
          }
        else if (event.type === 'error') throw new SlopboxError('wrong_state', event.message, { hint: event.hint })
        else out[event.type].add(event)
      }
      if (end !== undefined) return end
      throw new SlopboxError('unavailable', `the connection to sandbox ${id} ended before the command did`)
    },
    logs: (
      id: string,
      query: Query<typeof api.sandboxLogs> = {},
      signal?: AbortSignal,
    ): AsyncGenerator<Output<typeof api.sandboxLogs>> =>
      stream(options, api.sandboxLogs, { ...by(id), query, ...(signal ? { signal } : {}) }),
  }
}

/** The bytes of an output event. */
export function outputBytes(event: { data: string; encoding: 'utf8' | 'base64' }): Uint8Array {
  return event.encoding === 'utf8'
    ? new TextEncoder().encode(event.data)
    : Uint8Array.from(atob(event.data), (c) => c.charCodeAt(0))
}

function textOf(): { add(event: { data: string; encoding: 'utf8' | 'base64' }): void; end(): string } {
  const decoder = new TextDecoder()
  let text = ''
  return {
    add(event) {
      text += decoder.decode(outputBytes(event), { stream: true })
    },
    end() {
      return text + decoder.decode()
    },
  }
}
