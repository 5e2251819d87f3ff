import { z } from 'zod'
import { AgentId, TeamId } from './ids.ts'
import { Done, Name, PageQuery, pageOf, Timestamp } from './page.ts'
import { route, stream } from './route.ts'
import { LogLine, LogQuery, Sandbox, SandboxState, SandboxStep, Size } from './sandboxes.ts'

export const runtimes = ['openclaw'] as const
export const Runtime = z.enum(runtimes)
export type Runtime = z.infer<typeof Runtime>

export const personalityPresets = ['assistant', 'engineer', 'researcher', 'writer', 'operator'] as const

const FileText = z.string().max(64 * 1024)
export const Personality = z.strictObject({
  preset: z
    .enum(personalityPresets)
    .nullable()
    .default('assistant')
    .describe('A built-in character; null: only your own text.'),
  soul: FileText.default('').describe("Own text for SOUL.md; added after the preset's."),
  instructions: FileText.default('').describe('Own text for AGENTS.md: what the agent is for and how it works.'),
  emoji: z.string().max(16).default('').describe('Shown beside the name.'),
})
export type Personality = z.infer<typeof Personality>

export const modelApis = ['openai-completions', 'openai-responses', 'anthropic-messages'] as const
export const Model = z.strictObject({
  baseUrl: z
    .url({ protocol: /^https?$/, error: 'must be an http:// or https:// address' })
    .max(2048)
    .refine(
      (url) => !URL.canParse(url) || !/(^|\.)slopbox\.internal\.?$/i.test(new URL(url).hostname),
      'names under slopbox.internal exist inside sandboxes only; give the endpoint itself',
    )
    .describe('Endpoint including its version path, for example `https://api.openai.com/v1`.'),
  api: z.enum(modelApis).default('openai-completions'),
  id: z.string().min(1).max(200).describe('Model name as the endpoint knows it.'),
  secret: z
    .string()
    .max(64)
    .nullable()
    .default(null)
    .describe('Name of the secret that holds the key; null: the endpoint wants none.'),
  contextTokens: z.int().min(1_000).max(10_000_000).default(128_000),
  maxOutputTokens: z.int().min(1).max(1_000_000).default(8_000),
})
export type Model = z.infer<typeof Model>

/** The agent's condition in one word for people; `sandbox` has the details. */
export const agentStates = [
  'provisioning',
  'starting',
  'running',
  'stopping',
  'stopped',
  'error',
  'unreachable',
  'none',
  'destroying',
] as const
export const AgentState = z.enum(agentStates)
export type AgentState = z.infer<typeof AgentState>

export const Agent = z.object({
  id: AgentId,
  teamId: TeamId,
  name: Name,
  runtime: Runtime,
  personality: Personality,
  model: Model,
  size: Size,
  state: AgentState,
  step: SandboxStep.nullable(),
  reason: z.string().nullable().describe('Why it is in this state, in a sentence a person can act on.'),
  since: Timestamp,
  sandbox: Sandbox.nullable(),
  url: z.string().nullable().describe('Where its own UI opens; null while there is none.'),
  proxyTokenAt: Timestamp.nullable().describe('When its token for the forward proxy was made; null: it has none.'),
  createdAt: Timestamp,
})
export type Agent = z.infer<typeof Agent>

const params = z.strictObject({ id: AgentId })

export const createAgent = route({
  id: 'agents.create',
  method: 'POST',
  path: '/v1/agents',
  status: 201,
  summary: 'Create an agent; its sandbox starts in the background unless `start` is false',
  body: z.strictObject({
    name: Name,
    runtime: Runtime.default('openclaw'),
    personality: Personality.prefault({}),
    model: Model.extend({
      key: z
        .string()
        .min(1)
        .max(8192)
        .optional()
        .describe('The model key itself: stored as a new secret and never shown again. Instead of `secret`.'),
    }),
    allow: z
      .array(z.string().min(1).max(253))
      .max(200)
      .default([])
      .describe('Hosts it may reach: exact, or `*.example.com`.'),
    size: Size.prefault({ cpus: 2, memoryMiB: 2048 }),
    start: z.boolean().default(true),
  }),
  reply: Agent,
  errors: ['conflict', 'not_found'],
})
export const listAgents = route({
  id: 'agents.list',
  method: 'GET',
  path: '/v1/agents',
  summary: 'List agents',
  query: PageQuery,
  reply: pageOf(Agent),
})
export const getAgent = route({
  id: 'agents.get',
  method: 'GET',
  path: '/v1/agents/:id',
  summary: 'Get an agent',
  params,
  reply: Agent,
  errors: ['not_found'],
})
export const updateAgent = route({
  id: 'agents.update',
  method: 'PATCH',
  path: '/v1/agents/:id',
  summary: 'Change name, personality or model; applied while it runs',
  params,
  body: z.strictObject({
    name: Name.optional(),
    personality: Personality.partial().optional(),
    model: Model.partial()
      .extend({ key: z.string().min(1).max(8192).optional() })
      .optional(),
  }),
  reply: Agent,
  errors: ['not_found', 'conflict'],
})
export const deleteAgent = route({
  id: 'agents.delete',
  method: 'DELETE',
  path: '/v1/agents/:id',
  summary: 'Destroy the agent, its sandbox and its workspace',
  params,
  reply: Done,
  errors: ['not_found'],
})

export const provisionAgent = route({
  id: 'agents.provision',
  method: 'POST',
  path: '/v1/agents/:id/sandbox',
  status: 201,
  summary: 'Give the agent a sandbox',
  params,
  reply: Agent,
  errors: ['not_found', 'wrong_state', 'budget_exceeded'],
})
export const destroyAgentSandbox = route({
  id: 'agents.destroySandbox',
  method: 'DELETE',
  path: '/v1/agents/:id/sandbox',
  summary: "Destroy the agent's sandbox; the agent itself stays",
  params,
  query: z.strictObject({ workspace: z.enum(['keep', 'delete']).default('keep') }),
  reply: Agent,
  errors: ['not_found', 'wrong_state'],
})
const verb = <V extends 'start' | 'stop' | 'restart'>(id: V, summary: string) =>
  route({
    id: `agents.${id}`,
    method: 'POST',
    path: `/v1/agents/:id/${id}`,
    summary,
    params,
    reply: Agent,
    errors: ['not_found', 'wrong_state', 'budget_exceeded'],
  })
export const startAgent = verb('start', 'Start a stopped agent')
export const stopAgent = verb('stop', 'Stop an agent; disk and workspace stay')
export const restartAgent = verb('restart', 'Stop and start again')
export const wipeAgent = route({
  id: 'agents.wipe',
  method: 'POST',
  path: '/v1/agents/:id/wipe',
  summary: 'Replace the disk by a fresh one, with or without the workspace',
  params,
  body: z.strictObject({ workspace: z.enum(['keep', 'delete']).default('keep') }),
  reply: Agent,
  errors: ['not_found', 'wrong_state'],
})

export const ChatEvent = z.discriminatedUnion('type', [
  z.object({ type: z.literal('delta'), text: z.string().describe('The answer so far, whole.') }),
  z.object({ type: z.literal('final'), text: z.string() }),
  z.object({ type: z.literal('error'), message: z.string() }),
])
export type ChatEvent = z.infer<typeof ChatEvent>
export const chatWithAgent = stream({
  id: 'agents.chat',
  method: 'POST',
  path: '/v1/agents/:id/chat',
  summary: 'Say something and stream the answer',
  params,
  body: z.strictObject({ message: z.string().min(1).max(200_000), session: z.string().max(200).default('main') }),
  reply: ChatEvent,
  errors: ['not_found', 'wrong_state', 'upstream_failed', 'timeout'],
})
export const resetAgentSession = route({
  id: 'agents.resetSession',
  method: 'POST',
  path: '/v1/agents/:id/sessions/reset',
  summary: 'Begin a new conversation; the old one is archived by the runtime',
  params,
  body: z.strictObject({ session: z.string().max(200).default('main') }),
  reply: Done,
  errors: ['not_found', 'wrong_state', 'upstream_failed'],
})

export const personalityFiles = ['AGENTS.md', 'SOUL.md', 'IDENTITY.md', 'USER.md'] as const
export const PersonalityFile = z.object({
  name: z.enum(personalityFiles),
  content: FileText,
  source: z.enum(['personality', 'own']).describe('Made from the personality, or replaced by own text.'),
})
export const listAgentFiles = route({
  id: 'agents.files.list',
  method: 'GET',
  path: '/v1/agents/:id/files',
  summary: 'Personality files as the agent gets them',
  params,
  reply: z.object({ items: z.array(PersonalityFile) }),
  errors: ['not_found'],
})
export const putAgentFile = route({
  id: 'agents.files.put',
  method: 'PUT',
  path: '/v1/agents/:id/files/:name',
  summary: 'Replace a personality file; an empty text goes back to the made one',
  params: params.extend({ name: z.enum(personalityFiles) }),
  body: z.strictObject({ content: FileText }),
  reply: PersonalityFile,
  errors: ['not_found'],
})

export const agentLogs = stream({
  id: 'agents.logs',
  method: 'GET',
  path: '/v1/agents/:id/logs',
  server: 'gateway',
  summary: "Output of the agent's process",
  params,
  query: LogQuery,
  reply: LogLine,
  errors: ['not_found', 'wrong_state', 'unavailable'],
})

export const agentEvents = route({
  id: 'agents.events',
  method: 'GET',
  path: '/v1/agents/:id/events',
  summary: 'What happened to an agent',
  params,
  query: PageQuery,
  reply: pageOf(
    z.object({ id: z.string(), at: Timestamp, kind: z.string(), message: z.string(), state: SandboxState.nullable() }),
  ),
  errors: ['not_found'],
})

export const ProxyToken = z.object({
  token: z.string().describe('In this answer only: just its hash is kept.'),
  username: AgentId.describe('User name for the proxy: the id of the agent.'),
  proxyUrl: z
    .string()
    .nullable()
    .describe('What to set `HTTP_PROXY` and `HTTPS_PROXY` to, credentials included; null: the operator has it off.'),
})
export type ProxyToken = z.infer<typeof ProxyToken>
export const createProxyToken = route({
  id: 'agents.proxyToken.create',
  method: 'POST',
  path: '/v1/agents/:id/proxy-token',
  status: 201,
  summary: "Create or replace the token for the agent's machines elsewhere",
  description:
    'A machine elsewhere that sends its traffic through the forward proxy with this token is treated as the agent: ' +
    'same allowlist, secrets, budget, usage and audit. The token is shown once; a former one ends at once, and with it ' +
    'every connection that uses it. It holds while the agent is started: a stopped agent, or one without a sandbox, is ' +
    'denied everything (407), its machines elsewhere too, and starting it brings the same token back.',
  params,
  reply: ProxyToken,
  errors: ['not_found', 'wrong_state'],
})
export const deleteProxyToken = route({
  id: 'agents.proxyToken.delete',
  method: 'DELETE',
  path: '/v1/agents/:id/proxy-token',
  summary: "Revoke the token for the agent's machines elsewhere",
  description: 'Connections that use it are closed at once. An agent without a token stays as it is.',
  params,
  reply: Done,
  errors: ['not_found'],
})
