/**
 * The conversations between the control plane and the processes around it. Each process calls out over control's private
 * socket with its own bearer credential, says what it observed, and gets what is desired. A request whose `hash` equals
 * the server's is held open until that changes or `holdMs` is over; a caller with news aborts its held request and asks
 * again. Reports are stored before a request is held, so an aborted request has lost nothing, and every report may be
 * repeated without changing anything.
 */
import { z } from 'zod'
import { AuditRecord } from './egress.ts'
import { AgentId, HostId, SandboxId } from './ids.ts'
import { Timestamp } from './page.ts'
import { route } from './route.ts'
import { EnvVars, Isolation, SandboxState, SandboxStep, Size } from './sandboxes.ts'
import { BuildProgress } from './templates.ts'
import { Meter } from './usage.ts'

/** Hash of what the caller already has; null asks for everything at once. */
const held = { hash: z.string().nullable(), holdMs: z.int().min(0).max(60_000).default(25_000) }

/**
 * A meter's reading since `epoch` began: it only grows, so control adds the difference to the reading it has and a
 * repeat adds nothing. A source whose counter starts anew begins a new epoch.
 */
export const Reading = z.object({
  sandboxId: z.string(),
  meter: Meter,
  epoch: z.string().max(64),
  total: z.int().nonnegative(),
})
export type Reading = z.infer<typeof Reading>

/** A file the host puts under `/etc/slopbox/` of the sandbox: owned by root, not writable from inside, replaced live. */
export const SpecFile = z.object({
  path: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*(\/[A-Za-z0-9][A-Za-z0-9._-]*)*$/)
    .describe('Relative to /etc/slopbox/.'),
  content: z
    .string()
    .describe("Text. `{{hostAddress}}` and `{{sandboxAddress}}` become the two ends of the sandbox's link."),
  executable: z.boolean().default(false),
})

/** How the host finds out that the start command is up. Asked from the host's end of the sandbox's link. */
export const ReadyCheck = z.object({
  port: z.int(),
  path: z.string(),
  headers: z.record(z.string(), z.string()).describe('May use the same placeholders as files.'),
  timeoutMs: z.int(),
})

export const SandboxSpec = z.object({
  template: z.string().describe('Key of a desired template.'),
  isolation: Isolation,
  size: Size,
  env: EnvVars,
  user: z.string().nullable().describe("Default user inside; null: the template's."),
  cwd: z.string().nullable(),
  start: z
    .object({ command: z.array(z.string()), restart: z.enum(['always', 'never']), stopGraceMs: z.int() })
    .nullable()
    .describe('The supervised process; null: an idle sandbox for exec.'),
  ready: ReadyCheck.nullable(),
  files: z.array(SpecFile),
  onFilesChanged: z
    .array(z.string())
    .nullable()
    .describe('Run inside, as the user, after files changed while it runs.'),
  volumes: z
    .array(z.object({ id: z.string().regex(/^[a-z0-9]+$/), path: z.string().startsWith('/') }))
    .describe('Directories that outlive the root disk.'),
})
export type SandboxSpec = z.infer<typeof SandboxSpec>

export const DesiredSandbox = z.object({
  id: SandboxId,
  agentId: AgentId.nullable(),
  state: z.enum(['running', 'paused', 'stopped', 'destroyed']),
  /** A new number asks for one stop and start (restart); the host reports the generation it has reached. */
  generation: z.int(),
  spec: SandboxSpec,
  /** Volumes to delete together with the sandbox when `state` is `destroyed`. */
  deleteVolumes: z.array(z.string()),
})
export type DesiredSandbox = z.infer<typeof DesiredSandbox>

/** A template as content: `key` is a hash of all of it and of its parent's key, so equal content is built once. */
export const DesiredTemplate = z.object({
  key: z.string().regex(/^[a-z0-9-]{1,80}$/),
  name: z.string(),
  /** The identity under which the build's own sandbox reaches out; egress has a policy for it. */
  buildId: z.string(),
  /** `debian`: a fresh Debian or Ubuntu root (mmdebstrap with these packages); else the key of the parent template. */
  from: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('debian'), packages: z.array(z.string()) }),
    z.object({ kind: z.literal('template'), key: z.string() }),
  ]),
  steps: z.array(
    z.object({
      title: z.string(),
      run: z.string().describe('A /bin/sh script, run as root inside the build sandbox.'),
    }),
  ),
  env: EnvVars,
  user: z.string(),
  cwd: z.string(),
  /** Built ahead; otherwise only when a desired sandbox needs it. */
  wanted: z.boolean(),
})
export type DesiredTemplate = z.infer<typeof DesiredTemplate>

export const ObservedSandbox = z.object({
  id: SandboxId,
  state: SandboxState,
  step: SandboxStep.nullable(),
  reason: z.string().nullable(),
  generation: z.int(),
  ready: z.boolean(),
  /** Stage marks as wall-clock instants; control turns them into milliseconds since the API call. */
  marks: z.partialRecord(z.enum(['templateAt', 'createdAt', 'bootedAt', 'readyAt']), Timestamp),
  restarts: z.int(),
})
export type ObservedSandbox = z.infer<typeof ObservedSandbox>

export const ObservedTemplate = z.object({
  key: z.string(),
  state: z.enum(['absent', 'building', 'ready', 'failed']),
  reason: z.string().nullable(),
  progress: BuildProgress.nullable(),
  sizeBytes: z.int().nullable(),
})

export const syncHost = route({
  id: 'sync.host',
  method: 'POST',
  path: '/internal/sync/host',
  summary: 'Host: observed up, desired down',
  body: z.object({
    ...held,
    protocol: z.literal(1),
    name: z.string(),
    version: z.string(),
    drivers: z.array(z.object({ name: z.string(), isolations: z.array(Isolation) })),
    capacity: z.object({ cpus: z.number(), memoryMiB: z.int(), diskGiB: z.int() }),
    /** Hosts of this machine's own apt and npm configuration: builds, and only builds, may reach exactly these. */
    registries: z.array(z.string()),
    sandboxes: z.array(ObservedSandbox),
    templates: z.array(ObservedTemplate),
    readings: z.array(Reading),
  }),
  reply: z.object({
    hash: z.string(),
    hostId: HostId,
    sandboxes: z.array(DesiredSandbox),
    templates: z.array(DesiredTemplate),
  }),
})

/** AES-256-GCM under a data key that is itself wrapped by the master key; all base64. Only egress opens it. */
export const SealedSecret = z.object({ keyId: z.string(), wrappedKey: z.string(), iv: z.string(), data: z.string() })
export type SealedSecret = z.infer<typeof SealedSecret>

export const PolicyRule = z.object({
  id: z.string(),
  host: z.string().describe('Canonical pattern.'),
  port: z.int().nullable(),
  allowReserved: z
    .boolean()
    .describe("May resolve to a reserved or private address: the operator's own registries during builds."),
})
export type PolicyRule = z.infer<typeof PolicyRule>

export const PolicySecret = z.object({
  id: z.string(),
  name: z.string(),
  hosts: z.array(z.object({ host: z.string(), port: z.int().nullable() })),
  header: z.string(),
  format: z.string(),
  placeholder: z.string(),
  sealed: SealedSecret,
})
export type PolicySecret = z.infer<typeof PolicySecret>

/** `http://{name}/…` inside goes to `target`; the sandbox never learns the real address or key. */
export const PolicyAlias = z.object({
  name: z.string().regex(/^[a-z0-9-]+\.slopbox\.internal$/),
  target: z.string().describe('URL prefix, scheme included, without trailing slash.'),
  secretId: z.string().nullable(),
  modelApi: z.enum(['openai-completions', 'openai-responses', 'anthropic-messages']).nullable(),
})
export type PolicyAlias = z.infer<typeof PolicyAlias>

export const EgressPolicy = z.object({
  /** Id of a sandbox or of a template build. */
  sandboxId: z.string(),
  agentId: z.string().nullable(),
  teamId: z.string().nullable(),
  rules: z.array(PolicyRule),
  secrets: z.array(PolicySecret),
  aliases: z.array(PolicyAlias),
  /**
   * SHA-256 (hex) of the token for `Proxy-Authorization: Basic {agent}:{token}` on the central listener. Null: none, or
   * none that holds now, because the sandbox is not meant to run.
   */
  proxyTokenHash: z.string().nullable(),
  /** Set when the usage period's plan and budget are used up: everything is refused with `budget`. */
  exhausted: z.boolean(),
})
export type EgressPolicy = z.infer<typeof EgressPolicy>

export const syncEgress = route({
  id: 'sync.egress',
  method: 'POST',
  path: '/internal/sync/egress',
  summary: 'Egress: readings and audit up, policies down',
  body: z.object({
    ...held,
    protocol: z.literal(1),
    version: z.string(),
    readings: z.array(Reading),
    audit: z.array(AuditRecord).max(1000),
  }),
  reply: z.object({
    hash: z.string(),
    policies: z.array(EgressPolicy),
    allowedRanges: z.array(z.string()),
    extraRoots: z.string(),
    /** How long these policies hold without another word from control; afterwards everything is denied. */
    validMs: z.int(),
  }),
})

/** An open right of somebody to something at the gateway. Control says which of the listed ones ended. */
export const syncGateway = route({
  id: 'sync.gateway',
  method: 'POST',
  path: '/internal/sync/gateway',
  summary: 'Gateway: readings, audit and open grants up, ended grants down',
  body: z.object({
    ...held,
    protocol: z.literal(1),
    version: z.string(),
    grants: z.array(z.string()).max(50_000),
    readings: z.array(Reading),
    audit: z.array(AuditRecord).max(1000),
  }),
  reply: z.object({ hash: z.string(), ended: z.array(z.string()) }),
})

/**
 * Gateway asks control before it dials anything. A foreign or unknown target answers `not_found`; no or bad
 * credentials `unauthenticated`; a stopped target `wrong_state`. The grant lives while session, membership and sandbox do.
 */
export const authorize = route({
  id: 'gateway.authorize',
  method: 'POST',
  path: '/internal/gateway/authorize',
  summary: 'Gateway: may this caller reach this target?',
  body: z.object({
    credentials: z.object({
      cookie: z.string().optional().describe('The Cookie header as the app origin received it.'),
      authorization: z.string().optional(),
      apiKey: z.string().optional(),
      userId: z.string().optional().describe('X-User-Id'),
      sessionId: z.string().optional().describe("From the gateway's own signed origin cookie."),
      sshKey: z
        .string()
        .optional()
        .describe('Fingerprint, `SHA256:…`, of a public key. Nothing is dialled before its signature is verified.'),
    }),
    target: z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('agent-ui'), agentId: z.string() }),
      z.object({ kind: z.literal('agent'), agentId: z.string() }),
      z.object({ kind: z.literal('sandbox'), sandboxId: z.string() }),
    ]),
  }),
  reply: z.object({
    grantId: z.string(),
    userId: z.string(),
    sessionId: z.string().nullable(),
    sandboxId: z.string(),
    agentId: z.string().nullable(),
    hostId: z.string(),
    runtime: z.string().nullable(),
    /** For `agent-ui`: the port inside, and the identity headers only the gateway sets. */
    port: z.int().nullable(),
    headers: z.record(z.string(), z.string()),
    trustingPort: z
      .int()
      .nullish()
      .describe('Port inside that believes whatever the gateway says; open through `agent-ui` only. null: none.'),
  }),
  errors: ['not_found', 'unauthenticated', 'wrong_state'],
})
