/**
 * One interface per table, as Kysely sees rows. Written by hand; `schema.test.ts` compares it with the real database.
 * `timestamptz(3)` is a Date, `date` is `YYYY-MM-DD`, `bigint` is a safe number (db.ts refuses larger ones).
 */
import type { ColumnType, Generated, JSONColumnType } from 'kysely'
import type { Model, Personality, Runtime } from '../../contract/agents.ts'
import type { AuditRecord, DenyReason } from '../../contract/egress.ts'
import type { Settings } from '../../contract/people.ts'
import type { Isolation, SandboxState, SandboxStep, Size, TimeoutAction, Timings } from '../../contract/sandboxes.ts'
import type { DesiredSandbox } from '../../contract/sync.ts'
import type { BuildProgress } from '../../contract/templates.ts'
import type { Meter } from '../../contract/usage.ts'

/** Set by the database when left out. */
type CreatedAt = ColumnType<Date, Date | undefined, Date>
/** A JSON column: an object comes out, JSON text goes in (`json()` of db.ts). */
type Json<T extends object | null> = JSONColumnType<T, string, string>
/** The same with a default of the database. */
type JsonDefault<T extends object> = ColumnType<T, string | undefined, string>

export interface UsersTable {
  id: string
  email: string
  email_verified: ColumnType<boolean, boolean | undefined, boolean>
  name: string
  image: string | null
  role: ColumnType<'user' | 'operator', 'user' | 'operator' | undefined, 'user' | 'operator'>
  created_at: CreatedAt
  updated_at: CreatedAt
}

export interface SessionsTable {
  id: string
  user_id: string
  token: string
  expires_at: Date
  ip_address: string | null
  user_agent: string | null
  created_at: CreatedAt
  updated_at: CreatedAt
}

/** A way to sign in: `credential` (password) or an OAuth provider. */
export interface AccountsTable {
  id: string
  user_id: string
  account_id: string
  provider_id: string
  access_token: string | null
  refresh_token: string | null
  id_token: string | null
  access_token_expires_at: Date | null
  refresh_token_expires_at: Date | null
  scope: string | null
  password: string | null
  created_at: CreatedAt
  updated_at: CreatedAt
}

export interface VerificationsTable {
  id: string
  identifier: string
  value: string
  expires_at: Date
  created_at: CreatedAt
  updated_at: CreatedAt
}

export interface TeamsTable {
  id: string
  name: string
  /** The user whose personal team it is; null: a team of several. */
  personal_user_id: string | null
  created_at: CreatedAt
}

export interface MembersTable {
  team_id: string
  user_id: string
  role: 'owner' | 'admin' | 'member'
  created_at: CreatedAt
}

export interface ApiKeysTable {
  id: string
  team_id: string
  /** Who made it; the key acts as this user in its team. */
  user_id: string
  name: string
  start: string
  /** SHA-256 of the key, hex. */
  hash: string
  service: boolean
  created_at: CreatedAt
  last_used_at: Date | null
  expires_at: Date | null
}

/** A person's public key for SSH. Several people may register the same one. */
export interface SshKeysTable {
  id: string
  user_id: string
  name: string
  type: string
  /** `SHA256:` and the unpadded base64 of the hash of the key's wire form. */
  fingerprint: string
  created_at: CreatedAt
  last_used_at: Date | null
}

export interface SignInLinksTable {
  /** SHA-256 of the token, hex. */
  token_hash: string
  user_id: string
  created_at: CreatedAt
  expires_at: Date
  used_at: Date | null
}

export interface AgentsTable {
  id: string
  team_id: string
  created_by: string | null
  name: string
  runtime: Runtime
  personality: Json<Personality>
  model: Json<Model>
  size: Json<Size>
  /** Own texts that replace made personality files, by file name. */
  files: JsonDefault<Record<string, string>>
  /** Volume of its workspace; outlives sandboxes. */
  volume_id: string | null
  /** Where that volume is, once a sandbox with it was placed: the next one has to go there. */
  volume_host_id: string | null
  /** SHA-256 of the token for the forward proxy, hex. */
  proxy_token_hash: string | null
  proxy_token_at: Date | null
  created_at: CreatedAt
  updated_at: CreatedAt
  /** Set when its owner destroyed it; the row goes once its sandbox is gone. */
  deleted_at: Date | null
}

export interface SandboxesTable {
  id: string
  team_id: string
  agent_id: string | null
  template: string
  /** Content key of the template it was placed with; stays when the template's definition changes. */
  template_key: string | null
  isolation: Isolation
  size: Json<Size>
  env: JsonDefault<Record<string, string>>
  metadata: JsonDefault<Record<string, string>>
  desired: DesiredSandbox['state']
  state: SandboxState
  step: SandboxStep | null
  reason: string | null
  since: CreatedAt
  host_id: string | null
  /** Raised to ask for one stop and start; `observed_generation` is what the host has reached. */
  generation: Generated<number>
  observed_generation: Generated<number>
  ready: Generated<boolean>
  restarts: Generated<number>
  timings: JsonDefault<Timings>
  /** The API call that the timings count from. */
  requested_at: CreatedAt
  volumes: JsonDefault<{ id: string; path: string }[]>
  delete_volumes: JsonDefault<string[]>
  /** Once it is destroyed, its agent gets a fresh one. */
  replace: Generated<boolean>
  stopped_by: 'user' | 'budget' | null
  created_at: CreatedAt
  updated_at: CreatedAt
  expires_at: Date | null
  /** How long its time is, to be given again when it is resumed; null: never over. */
  timeout_ms: number | null
  on_timeout: ColumnType<TimeoutAction, TimeoutAction | undefined, TimeoutAction>
  wake_on_traffic: Generated<boolean>
  destroyed_at: Date | null
}

export interface HostsTable {
  id: string
  name: string
  version: string
  drivers: Json<{ name: string; isolations: Isolation[] }[]>
  capacity: Json<{ cpus: number; memoryMiB: number; diskGiB: number }>
  registries: JsonDefault<string[]>
  last_seen_at: CreatedAt
  created_at: CreatedAt
}

export interface TemplatesTable {
  name: string
  description: string
  /** Content key of its current definition. */
  key: string
  /** Built ahead on every host that lacks it. */
  wanted: Generated<boolean>
  created_at: CreatedAt
  updated_at: CreatedAt
}

/** What a host says about one template's content; the id is the identity of the build's own sandbox. */
export interface TemplateBuildsTable {
  id: string
  host_id: string
  key: string
  name: string
  state: 'absent' | 'building' | 'ready' | 'failed'
  reason: string | null
  progress: Json<BuildProgress | null>
  size_bytes: number | null
  /** Raised to ask for another try after a failure. */
  attempt: Generated<number>
  built_at: Date | null
  created_at: CreatedAt
  updated_at: CreatedAt
}

export interface EgressRulesTable {
  id: string
  scope: 'global' | 'team' | 'agent' | 'sandbox'
  team_id: string | null
  agent_id: string | null
  sandbox_id: string | null
  /** Canonical pattern. */
  host: string
  port: number | null
  note: string
  created_by: string | null
  created_at: CreatedAt
}

export interface SecretsTable {
  id: string
  team_id: string
  name: string
  /** `host` or `host:port`, canonical. */
  hosts: Json<string[]>
  header: string
  format: string
  placeholder: string
  key_id: string
  wrapped_key: string
  iv: string
  data: string
  created_by: string | null
  created_at: CreatedAt
  updated_at: CreatedAt
}

export interface PlansTable {
  id: string
  name: string
  bandwidth_gib: number
  overage_cents_per_gib: number
  max_agents: number
  /** The plan of teams without a subscription; exactly one. */
  is_default: Generated<boolean>
  created_at: CreatedAt
  updated_at: CreatedAt
}

export interface SubscriptionsTable {
  team_id: string
  /** null: the default plan. */
  plan_id: string | null
  budget_cents: Generated<number>
  updated_at: CreatedAt
}

/** The last reading of every counter: what comes above it is new, a repeat adds nothing. */
export interface UsageCountersTable {
  source: string
  sandbox_id: string
  meter: Meter
  epoch: string
  total: number
  updated_at: CreatedAt
}

export interface UsageDaysTable {
  day: string
  team_id: string
  agent_id: string | null
  sandbox_id: string
  meter: Meter
  total: number
}

export interface EventsTable {
  id: string
  team_id: string
  agent_id: string | null
  sandbox_id: string | null
  kind: string
  message: string
  state: SandboxState | null
  at: CreatedAt
}

export interface AuditTable {
  id: string
  at: Date
  team_id: string | null
  source: AuditRecord['source']
  kind: AuditRecord['kind']
  decision: 'allow' | 'deny'
  reason: DenyReason | null
  rule: string | null
  agent_id: string | null
  sandbox_id: string | null
  user_id: string | null
  actor: string | null
  method: string | null
  host: string | null
  port: number | null
  path: string | null
  status: number | null
  bytes_out: number
  bytes_in: number
  duration_ms: number
  detail: Json<AuditRecord['detail']>
}

/** One row. */
export interface SettingsTable {
  singleton: Generated<boolean>
  value: Json<Settings>
  updated_at: CreatedAt
}

/** The stored reply of a write, for a caller who repeats it. `status` is null while the first is under way. */
export interface IdempotencyKeysTable {
  caller: string
  key: string
  /** Route, parameters and body, hashed. */
  request_hash: string
  status: number | null
  reply: Json<object | null>
  created_at: CreatedAt
}

/** An open right at the gateway. The row goes with its session, key or membership; no row means ended. */
export interface GrantsTable {
  id: string
  team_id: string
  user_id: string
  session_id: string | null
  key_id: string | null
  ssh_key_id: string | null
  agent_id: string | null
  sandbox_id: string
  created_at: CreatedAt
}

export interface Schema {
  users: UsersTable
  sessions: SessionsTable
  accounts: AccountsTable
  verifications: VerificationsTable
  teams: TeamsTable
  members: MembersTable
  api_keys: ApiKeysTable
  ssh_keys: SshKeysTable
  sign_in_links: SignInLinksTable
  agents: AgentsTable
  sandboxes: SandboxesTable
  hosts: HostsTable
  templates: TemplatesTable
  template_builds: TemplateBuildsTable
  egress_rules: EgressRulesTable
  secrets: SecretsTable
  plans: PlansTable
  subscriptions: SubscriptionsTable
  usage_counters: UsageCountersTable
  usage_days: UsageDaysTable
  events: EventsTable
  audit: AuditTable
  settings: SettingsTable
  idempotency_keys: IdempotencyKeysTable
  grants: GrantsTable
}
