/** Commands that go on without their caller: started once, looked at, fed and ended by id. */
import { z } from 'zod'
import { CommandId, SandboxId } from './ids.ts'
import { Done, Timestamp } from './page.ts'
import { route, stream } from './route.ts'
import { ExecRequest } from './sandboxes.ts'

/** Output kept of one command, in bytes of both streams together; what is older is dropped. */
export const keptOutputBytes = 256 * 1024
/** At once in one sandbox. */
export const maxRunningCommands = 32
/** Ended ones that can still be looked at; the oldest go first. */
export const maxEndedCommands = 32

export const CommandExit = z.object({
  code: z.int().nullable(),
  signal: z.string().nullable(),
  reason: z.enum(['exited', 'timeout', 'killed']),
})
export type CommandExit = z.infer<typeof CommandExit>

export const Command = z.object({
  id: CommandId,
  sandboxId: SandboxId,
  command: z.array(z.string()),
  state: z.enum(['running', 'ended']),
  startedAt: Timestamp,
  endedAt: Timestamp.nullable(),
  exit: CommandExit.nullable(),
  outputBytes: z.int().describe('Written so far, to both streams.'),
  droppedBytes: z.int().describe('Of these, no longer kept.'),
})
export type Command = z.infer<typeof Command>

export const CommandRequest = ExecRequest.omit({ stdin: true, timeoutMs: true }).extend({
  keepStdin: z.boolean().default(false).describe('Leave standard input open, to be written to later.'),
  timeoutMs: z
    .int()
    .min(1)
    .max(30 * 24 * 3_600_000)
    .nullable()
    .default(null)
    .describe('Killed after this long; null: never.'),
})
export type CommandRequest = z.infer<typeof CommandRequest>

const position = z.int().min(0).describe('Bytes of both streams up to the end of this event; go on from here.')

/** Exactly one `exit` ends the stream. `dropped` stands for output that was not kept until it was asked for. */
export const CommandEvent = z.discriminatedUnion('type', [
  z.object({ type: z.literal('stdout'), data: z.string(), encoding: z.enum(['utf8', 'base64']), position }),
  z.object({ type: z.literal('stderr'), data: z.string(), encoding: z.enum(['utf8', 'base64']), position }),
  z.object({ type: z.literal('dropped'), bytes: z.int(), position }),
  CommandExit.extend({ type: z.literal('exit') }),
])
export type CommandEvent = z.infer<typeof CommandEvent>

const params = z.strictObject({ id: SandboxId, commandId: CommandId })
const errors = ['not_found', 'wrong_state', 'unavailable'] as const
const server = 'gateway'

export const startCommand = route({
  id: 'commands.start',
  method: 'POST',
  path: '/v1/sandboxes/:id/commands',
  server,
  status: 201,
  summary: 'Start a command in the background',
  description:
    'It goes on when the caller leaves and when the gateway restarts. It ends with its sandbox, and with the host process.',
  params: z.strictObject({ id: SandboxId }),
  body: CommandRequest,
  reply: Command,
  errors: [...errors, 'rate_limited'],
})
export const listCommands = route({
  id: 'commands.list',
  method: 'GET',
  path: '/v1/sandboxes/:id/commands',
  server,
  summary: 'List background commands, running and lately ended',
  params: z.strictObject({ id: SandboxId }),
  reply: z.object({ items: z.array(Command) }),
  errors,
})
export const getCommand = route({
  id: 'commands.get',
  method: 'GET',
  path: '/v1/sandboxes/:id/commands/:commandId',
  server,
  summary: 'Get a command, or wait for its end',
  params,
  query: z.strictObject({
    waitMs: z.coerce
      .number()
      .int()
      .min(0)
      .max(60_000)
      .default(0)
      .describe('Answer when it has ended, or after this long.'),
  }),
  reply: Command,
  errors,
})
export const commandOutput = stream({
  id: 'commands.output',
  method: 'GET',
  path: '/v1/sandboxes/:id/commands/:commandId/output',
  server,
  summary: 'Output of a command from a position on, until it ends',
  params,
  query: z.strictObject({
    from: z.coerce
      .number()
      .int()
      .min(0)
      .default(0)
      .describe('The `position` of the last event seen; what was dropped meanwhile is said.'),
  }),
  reply: CommandEvent,
  errors,
})
export const commandInput = route({
  id: 'commands.input',
  method: 'POST',
  path: '/v1/sandboxes/:id/commands/:commandId/input',
  server,
  summary: 'Write to standard input, or close it',
  params,
  body: z.strictObject({
    data: z
      .string()
      .max(128 * 1024)
      .default(''),
    encoding: z.enum(['utf8', 'base64']).default('utf8'),
    end: z.boolean().default(false).describe('Close standard input after this.'),
  }),
  reply: Done,
  errors: [...errors, 'too_large'],
})
export const signalCommand = route({
  id: 'commands.signal',
  method: 'POST',
  path: '/v1/sandboxes/:id/commands/:commandId/signal',
  server,
  summary: 'Send a signal to the process group of a command',
  params,
  body: z.strictObject({ signal: z.string().regex(/^SIG[A-Z0-9]{2,10}$/, 'not a signal such as SIGINT') }),
  reply: Done,
  errors,
})
export const killCommand = route({
  id: 'commands.kill',
  method: 'DELETE',
  path: '/v1/sandboxes/:id/commands/:commandId',
  server,
  summary: 'Kill a command and everything it started, and wait for its end',
  params,
  reply: Command,
  errors,
})
