import * as api from '../contract/commands.ts'
import type { Call } from '../contract/route.ts'
import { call, type ClientOptions } from './call.ts'
import { stream } from './stream.ts'

type Body<R> = Call<R> extends { body: infer B } ? B : never

/** Commands in the background: they go on when the caller leaves, and are found again by id. */
export function commands(options: ClientOptions) {
  const by = (id: string, commandId: string) => ({ params: { id, commandId } })
  const get = (id: string, commandId: string, waitMs = 0, signal?: AbortSignal): Promise<api.Command> =>
    call(options, api.getCommand, { ...by(id, commandId), query: { waitMs }, ...(signal ? { signal } : {}) })
  return {
    start: (
      id: string,
      command: readonly string[],
      more: Omit<Body<typeof api.startCommand>, 'command'> = {},
    ): Promise<api.Command> =>
      call(options, api.startCommand, { params: { id }, body: { ...more, command: [...command] } }),
    list: async (id: string): Promise<api.Command[]> =>
      (await call(options, api.listCommands, { params: { id } })).items,
    get,
    /** Resolves when the command has ended. */
    async wait(id: string, commandId: string, signal?: AbortSignal): Promise<api.Command> {
      for (;;) {
        const command = await get(id, commandId, 60_000, signal)
        if (command.state === 'ended') return command
      }
    },
    /** Output from a position on until the end; `position` of the last event is where to go on after a broken connection. */
    output: (id: string, commandId: string, from = 0, signal?: AbortSignal): AsyncGenerator<api.CommandEvent> =>
      stream(options, api.commandOutput, { ...by(id, commandId), query: { from }, ...(signal ? { signal } : {}) }),
    /** Writes text to standard input of a command started with `keepStdin`. */
    write: (id: string, commandId: string, text: string): Promise<{ ok: true }> =>
      call(options, api.commandInput, { ...by(id, commandId), body: { data: text } }),
    closeStdin: (id: string, commandId: string): Promise<{ ok: true }> =>
      call(options, api.commandInput, { ...by(id, commandId), body: { end: true } }),
    signal: (id: string, commandId: string, signal: string): Promise<{ ok: true }> =>
      call(options, api.signalCommand, { ...by(id, commandId), body: { signal } }),
    /** Kills it with everything it started. */
    kill: (id: string, commandId: string): Promise<api.Command> => call(options, api.killCommand, by(id, commandId)),
  }
}
