import { z } from 'zod'
import { AgentId, HostId, SandboxId, TeamId } from './ids.ts'
import { Done, PageQuery, pageOf, Timestamp } from './page.ts'
import { route, stream } from './route.ts'

export const sandboxStates = ['creating', 'running', 'paused', 'stopped', 'error', 'missing', 'destroyed'] as const
export const SandboxState = z.enum(sandboxStates)
export type SandboxState = z.infer<typeof SandboxState>

/** What a sandbox in `creating` is waiting for, in this order; `null` once it is past all of them. */
export const sandboxSteps = ['placing', 'template', 'creating', 'booting', 'waiting'] as const
export const SandboxStep = z.enum(sandboxSteps)
export type SandboxStep = z.infer<typeof SandboxStep>

export const isolations = ['container', 'gvisor', 'microvm', 'vm'] as const
export const Isolation = z.enum(isolations)
export type Isolation = z.infer<typeof Isolation>

export const Size = z.strictObject({
  cpus: z.number().min(0.1).max(64).default(1).describe('Share of cores.'),
  memoryMiB: z.int().min(64).max(262_144).default(512),
  diskGiB: z.int().min(1).max(1024).default(10),
})
export type Size = z.infer<typeof Size>

/** Milliseconds from the API call to each stage; absent until it was reached. */
export const Timings = z.object({
  placedMs: z.number().optional(),
  templateMs: z.number().optional(),
  createdMs: z.number().optional(),
  bootedMs: z.number().optional(),
  readyMs: z.number().optional(),
})
export type Timings = z.infer<typeof Timings>

export const timeoutActions = ['destroy', 'pause'] as const
export const TimeoutAction = z.enum(timeoutActions)
export type TimeoutAction = z.infer<typeof TimeoutAction>

export const Sandbox = z.object({
  id: SandboxId,
  teamId: TeamId,
  agentId: AgentId.nullable(),
  template: z.string(),
  isolation: Isolation,
  size: Size,
  metadata: z.record(z.string(), z.string()),
  desired: z.enum(['running', 'paused', 'stopped', 'destroyed']),
  state: SandboxState,
  step: SandboxStep.nullable(),
  reason: z.string().nullable().describe('Why it is in this state, in a sentence a person can act on.'),
  since: Timestamp.describe('When it came into this state.'),
  hostId: HostId.nullable(),
  timings: Timings,
  createdAt: Timestamp,
  expiresAt: Timestamp.nullable().describe('Null: never, or not while it is paused.'),
  onTimeout: TimeoutAction,
  wakeOnTraffic: z.boolean(),
})
export type Sandbox = z.infer<typeof Sandbox>

export const EnvVars = z.record(
  z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'not a variable name'),
  z.string().max(32_768),
)

const params = z.strictObject({ id: SandboxId })

const TimeoutMs = z
  .int()
  .min(1_000)
  .max(30 * 24 * 3_600_000)

export const createSandbox = route({
  id: 'sandboxes.create',
  method: 'POST',
  path: '/v1/sandboxes',
  status: 201,
  summary: 'Create a sandbox and wait until it runs',
  body: z.strictObject({
    template: z.string().max(128).default('base'),
    isolation: Isolation.default('container'),
    size: Size.prefault({}),
    env: EnvVars.default({}),
    metadata: z.record(z.string().max(64), z.string().max(512)).default({}),
    timeoutMs: TimeoutMs.nullable()
      .default(300_000)
      .describe('Its time is over after this long; null: never. It stands still while the sandbox is paused.'),
    onTimeout: TimeoutAction.default('destroy').describe('What happens when its time is over.'),
    wakeOnTraffic: z
      .boolean()
      .default(false)
      .describe('A command or a request to a port resumes it when it is paused.'),
    allow: z
      .array(z.string().max(253))
      .max(200)
      .default([])
      .describe("Hosts it may reach, beyond the team's and the global rules."),
  }),
  reply: Sandbox,
  errors: ['no_capacity', 'timeout', 'unavailable'],
})
export const listSandboxes = route({
  id: 'sandboxes.list',
  method: 'GET',
  path: '/v1/sandboxes',
  summary: 'List sandboxes',
  query: PageQuery.extend({
    state: SandboxState.optional(),
    template: z.string().max(128).optional(),
    metadata: z
      .string()
      .max(8_192)
      .optional()
      .describe('Pairs that it must have, as in a query: `user=abc&app=prod`, both sides percent-encoded.'),
  }),
  reply: pageOf(Sandbox),
})
export const getSandbox = route({
  id: 'sandboxes.get',
  method: 'GET',
  path: '/v1/sandboxes/:id',
  summary: 'Get a sandbox',
  params,
  reply: Sandbox,
  errors: ['not_found'],
})
export const startSandbox = route({
  id: 'sandboxes.start',
  method: 'POST',
  path: '/v1/sandboxes/:id/start',
  summary: 'Start a stopped sandbox',
  params,
  reply: Sandbox,
  errors: ['not_found', 'wrong_state', 'budget_exceeded'],
})
export const stopSandbox = route({
  id: 'sandboxes.stop',
  method: 'POST',
  path: '/v1/sandboxes/:id/stop',
  summary: 'Stop a sandbox; its disk stays',
  params,
  reply: Sandbox,
  errors: ['not_found', 'wrong_state'],
})
export const pauseSandbox = route({
  id: 'sandboxes.pause',
  method: 'POST',
  path: '/v1/sandboxes/:id/pause',
  summary: 'Freeze a sandbox with everything in it, and wait until it is',
  params,
  reply: Sandbox,
  errors: ['not_found', 'wrong_state', 'timeout', 'unavailable'],
})
export const resumeSandbox = route({
  id: 'sandboxes.resume',
  method: 'POST',
  path: '/v1/sandboxes/:id/resume',
  summary: 'Let a paused sandbox go on, and wait until it does',
  params,
  body: z
    .strictObject({ timeoutMs: TimeoutMs.nullable().optional().describe('Its new time; left out: the one it had.') })
    .prefault({}),
  reply: Sandbox,
  errors: ['not_found', 'wrong_state', 'budget_exceeded', 'timeout', 'unavailable'],
})
export const extendSandbox = route({
  id: 'sandboxes.extend',
  method: 'POST',
  path: '/v1/sandboxes/:id/extend',
  summary: 'Give a sandbox a new time, counted from now',
  params,
  body: z.strictObject({ timeoutMs: TimeoutMs.nullable().describe('Null: never over.') }),
  reply: Sandbox,
  errors: ['not_found', 'wrong_state'],
})
export const killSandbox = route({
  id: 'sandboxes.kill',
  method: 'DELETE',
  path: '/v1/sandboxes/:id',
  summary: 'Destroy a sandbox and its disk',
  params,
  reply: Done,
  errors: ['not_found', 'conflict'],
})

export const ExecRequest = z.strictObject({
  command: z.array(z.string().max(131_072)).min(1).max(1024).describe('Program and arguments; no shell is added.'),
  env: EnvVars.default({}),
  cwd: z.string().max(4096).optional().describe("Absolute; default: the template's working directory."),
  user: z.string().max(64).optional().describe("Name or numeric uid inside; default: the template's user."),
  stdin: z
    .string()
    .max(4 * 1024 * 1024)
    .optional()
    .describe('Written to standard input, which is then closed.'),
  timeoutMs: z
    .int()
    .min(1)
    .max(24 * 3_600_000)
    .default(60_000),
})
export type ExecRequest = z.infer<typeof ExecRequest>

/** Output as base64 when `encoding` says so (bytes that are not UTF-8), else as text. Exactly one `exit` ends the stream. */
export const ExecEvent = z.discriminatedUnion('type', [
  z.object({ type: z.literal('stdout'), data: z.string(), encoding: z.enum(['utf8', 'base64']) }),
  z.object({ type: z.literal('stderr'), data: z.string(), encoding: z.enum(['utf8', 'base64']) }),
  z.object({
    type: z.literal('exit'),
    code: z.int().nullable(),
    signal: z.string().nullable(),
    reason: z.enum(['exited', 'timeout', 'killed']),
  }),
  z.object({ type: z.literal('error'), code: z.string(), message: z.string(), hint: z.string().nullable() }),
])
export type ExecEvent = z.infer<typeof ExecEvent>

export const execInSandbox = stream({
  id: 'sandboxes.exec',
  method: 'POST',
  path: '/v1/sandboxes/:id/exec',
  server: 'gateway',
  summary: 'Run a command and stream its output',
  params,
  body: ExecRequest,
  reply: ExecEvent,
  errors: ['not_found', 'wrong_state', 'unavailable'],
})

export const LogLine = z.object({ at: Timestamp, stream: z.enum(['stdout', 'stderr', 'system']), text: z.string() })
export type LogLine = z.infer<typeof LogLine>

export const LogQuery = z.strictObject({
  tail: z.coerce.number().int().min(0).max(10_000).default(200).describe('Lines from the end to begin with.'),
  follow: z.stringbool().default(false).describe('Stay open for new lines.'),
})
export const sandboxLogs = stream({
  id: 'sandboxes.logs',
  method: 'GET',
  path: '/v1/sandboxes/:id/logs',
  server: 'gateway',
  summary: 'Output of the start command',
  params,
  query: LogQuery,
  reply: LogLine,
  errors: ['not_found', 'unavailable'],
})
