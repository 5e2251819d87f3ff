import { z } from 'zod'
import { AgentId, AuditId, RuleId, SandboxId, SecretId } from './ids.ts'
import { Done, PageQuery, pageOf, Timestamp } from './page.ts'
import { route } from './route.ts'

/** ASCII host name, `*.name` for its subdomains (not the name itself), or an IP literal. Canonical: lower case, no trailing dot. */
export const HostPattern = z
  .string()
  .min(1)
  .max(253)
  .describe('Exact name, `*.example.com` for subdomains only, or an IP address.')

export const scopes = ['global', 'team', 'agent', 'sandbox'] as const
export const Scope = z.enum(scopes)

export const EgressRule = z.object({
  id: RuleId,
  scope: Scope,
  agentId: AgentId.nullable(),
  host: HostPattern,
  port: z.int().min(1).max(65_535).nullable().describe('null: 80 and 443.'),
  note: z.string().max(500),
  createdAt: Timestamp,
})
export type EgressRule = z.infer<typeof EgressRule>

export const createRule = route({
  id: 'egress.rules.create',
  method: 'POST',
  path: '/v1/egress/rules',
  status: 201,
  summary: 'Allow a host',
  body: z.strictObject({
    host: HostPattern,
    port: z.int().min(1).max(65_535).nullable().default(null),
    note: z.string().max(500).default(''),
    scope: z.enum(['global', 'team', 'agent']).default('team').describe('`global` is for operators.'),
    agentId: AgentId.nullable().default(null).describe('Needed for scope `agent`.'),
  }),
  reply: EgressRule.extend({ warning: z.string().nullable() }),
  errors: ['not_found', 'forbidden', 'conflict'],
})
export const listRules = route({
  id: 'egress.rules.list',
  method: 'GET',
  path: '/v1/egress/rules',
  summary: 'List the rules that apply, wider scopes included',
  query: PageQuery.extend({ agentId: AgentId.optional() }),
  reply: pageOf(EgressRule),
  errors: ['not_found'],
})
export const deleteRule = route({
  id: 'egress.rules.delete',
  method: 'DELETE',
  path: '/v1/egress/rules/:id',
  summary: 'Remove a rule; open connections it allowed are closed',
  params: z.strictObject({ id: RuleId }),
  reply: Done,
  errors: ['not_found', 'forbidden'],
})

export const denyReasons = [
  'no_policy',
  'no_rule',
  'bad_request',
  'bad_host',
  'address_refused',
  'unresolvable',
  'sni_missing',
  'sni_mismatch',
  'protocol',
  'secret_unavailable',
  'budget',
  'rate',
  'connect_failed',
  'tls_failed',
  'unidentified',
  'method_blocked',
  'upstream_failed',
  'revoked',
] as const
export const DenyReason = z.enum(denyReasons)
export type DenyReason = z.infer<typeof DenyReason>

export const Check = z.object({
  action: z.enum(['allow', 'deny']),
  rule: EgressRule.nullable(),
  reason: DenyReason.nullable(),
  message: z.string(),
  secret: z.string().nullable(),
})
export const checkEgress = route({
  id: 'egress.check',
  method: 'GET',
  path: '/v1/egress/check',
  summary: 'Would this be allowed, and by which rule?',
  query: z.strictObject({ agentId: AgentId, url: z.url().max(2048) }),
  reply: Check,
  errors: ['not_found'],
})

export const SecretName = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/, 'must start with a letter; letters, digits and . _ - may follow; at most 64')
export const Secret = z.object({
  id: SecretId,
  name: SecretName,
  hosts: z.array(z.string()).describe('Exact hosts, `host` or `host:port`, it may be sent to.'),
  header: z.string().describe('Header it is placed in.'),
  format: z.string().describe('Value of the header; `{value}` stands for the secret.'),
  placeholder: z.string().describe('The worthless stand-in to use inside sandboxes.'),
  createdAt: Timestamp,
  updatedAt: Timestamp,
})
export type Secret = z.infer<typeof Secret>

/** Values go into headers: visible ASCII and inner spaces only (RFC 9110 §5.5), so no line break can forge a header. */
const SecretValue = z
  .string()
  .min(1)
  .max(8192)
  .regex(/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/, 'must be visible ASCII without line breaks')
export const putSecret = route({
  id: 'secrets.put',
  method: 'PUT',
  path: '/v1/secrets/:name',
  summary: 'Create a secret or replace its value; it is never shown again',
  params: z.strictObject({ name: SecretName }),
  body: z.strictObject({
    value: SecretValue,
    hosts: z
      .array(z.string().min(1).max(259))
      .max(50)
      .default([])
      .describe("Exact hosts; wildcards are refused. A model key gets its endpoint's host by itself."),
    header: z
      .string()
      .regex(/^[A-Za-z][A-Za-z0-9-]{0,63}$/)
      .default('authorization'),
    format: z
      .string()
      .max(200)
      .regex(/^[\x20-\x7e]*$/, 'must be visible ASCII without line breaks')
      .refine((f) => f.split('{value}').length === 2, 'must contain {value} exactly once')
      .default('Bearer {value}'),
  }),
  reply: Secret,
  errors: ['conflict'],
})
export const listSecrets = route({
  id: 'secrets.list',
  method: 'GET',
  path: '/v1/secrets',
  summary: 'List secrets, without their values',
  query: PageQuery,
  reply: pageOf(Secret),
})
export const deleteSecret = route({
  id: 'secrets.delete',
  method: 'DELETE',
  path: '/v1/secrets/:name',
  summary: 'Delete a secret',
  params: z.strictObject({ name: SecretName }),
  reply: Done,
  errors: ['not_found', 'conflict'],
})

/** One thing a sandbox or a person tried. Written exactly once, also when it failed. Never holds a secret or a body. */
export const AuditRecord = z.object({
  id: AuditId,
  at: Timestamp,
  source: z.enum(['egress', 'gateway', 'control']),
  kind: z.enum(['http', 'tunnel', 'dns', 'rpc', 'admin']),
  decision: z.enum(['allow', 'deny']),
  reason: DenyReason.nullable(),
  rule: z.string().nullable().describe('Id of the rule that decided.'),
  agentId: AgentId.nullable(),
  sandboxId: SandboxId.nullable(),
  userId: z.string().nullable(),
  actor: z.string().nullable().describe('Key or service that acted, when it was not the user himself.'),
  method: z.string().max(64).nullable(),
  host: z.string().max(300).nullable(),
  port: z.int().nullable(),
  path: z.string().max(2048).nullable(),
  status: z.int().nullable(),
  bytesOut: z.int().describe('Bytes sent by the sandbox.'),
  bytesIn: z.int().describe('Bytes received by the sandbox.'),
  durationMs: z.number(),
  detail: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))
    .describe('Tokens, model, step timings, RPC method…'),
})
export type AuditRecord = z.infer<typeof AuditRecord>

export const listAudit = route({
  id: 'audit.list',
  method: 'GET',
  path: '/v1/audit',
  summary: 'Search what was tried',
  query: PageQuery.extend({
    agentId: AgentId.optional(),
    sandboxId: SandboxId.optional(),
    decision: z.enum(['allow', 'deny']).optional(),
    host: z.string().max(300).optional(),
  }),
  reply: pageOf(AuditRecord),
  errors: ['not_found'],
})
