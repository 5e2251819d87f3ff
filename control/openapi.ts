import { z } from 'zod'
import { apiSections } from '../contract/api.ts'
import { errorCodes } from '../contract/errors.ts'
import type { ErrorCode } from '../contract/errors.ts'
import type { Route } from '../contract/route.ts'
import { Agent, Model, Personality } from '../contract/agents.ts'
import { Command, CommandEvent } from '../contract/commands.ts'
import { FileInfo } from '../contract/files.ts'
import { AuditRecord, EgressRule, Secret } from '../contract/egress.ts'
import { ApiKey, Me, Settings, User } from '../contract/people.ts'
import { ExecEvent, LogLine, Sandbox } from '../contract/sandboxes.ts'
import { Host, Template } from '../contract/templates.ts'
import { Plan, Usage } from '../contract/usage.ts'

export type Json = Record<string, unknown>

/** Codes any operation may answer with. */
export const commonErrors: readonly ErrorCode[] = ['invalid_request', 'rate_limited', 'internal']

/** Replies that have a name of their own in the document. */
const named = {
  Agent,
  ApiKey,
  AuditRecord,
  Command,
  CommandEvent,
  EgressRule,
  ExecEvent,
  FileInfo,
  Host,
  LogLine,
  Me,
  Model,
  Personality,
  Plan,
  Sandbox,
  Secret,
  Settings,
  Template,
  Usage,
  User,
}

/** OpenAPI 3.1 (its Schema Objects are JSON Schema 2020-12), printed from the contract. */
export function openApiDocument(options: { origin: string; version: string }): Json {
  const schemas: Json = { Error: errorSchema }
  const paths: Record<string, Json> = {}
  for (const { title, routes } of apiSections) {
    for (const route of routes) {
      const path = route.path.replace(/:(\w+)/g, '{$1}')
      ;(paths[path] ??= {})[route.method.toLowerCase()] = operation(route, title, schemas)
    }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Slopbox',
      version: options.version,
      description:
        'Runs AI agents that you do not have to trust. Writes take `Idempotency-Key`; lists page by `cursor`.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: options.origin }],
    tags: apiSections.map(({ title }) => ({ name: title })),
    security: [{ bearer: [] }, { apiKey: [] }, { session: [] }],
    paths,
    components: {
      schemas,
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'A team or service key.' },
        apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
        session: { type: 'apiKey', in: 'cookie', name: 'slopbox.session_token' },
      },
    },
  }
}

/** JSON Schema of what a caller may send. */
export function inputSchema(schema: z.ZodType): Json {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  return json
}

export function errorsOf(route: Route): ErrorCode[] {
  const access: ErrorCode[] = route.access === 'public' ? [] : ['unauthenticated']
  const operator: ErrorCode[] = route.access === 'operator' ? ['forbidden'] : []
  return [...new Set([...commonErrors, ...access, ...operator, ...route.errors])]
}

function operation(route: Route, tag: string, schemas: Json): Json {
  const parameters = [...parametersOf(route.params, 'path'), ...parametersOf(route.query, 'query')]
  if (route.method === 'POST' && route.kind === 'json' && route.server === 'control') parameters.push(idempotencyKey)
  const body = inputSchema(route.body)
  const bytes = { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } }
  const hasBody = Object.keys((body['properties'] ?? {}) as Json).length > 0
  return {
    operationId: route.id,
    summary: route.summary,
    tags: [tag],
    ...(route.access === 'public' ? { security: [] } : {}),
    ...descriptionOf(route),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(route.carries === 'body' ? { requestBody: { required: true, content: bytes } } : {}),
    ...(hasBody
      ? {
          requestBody: {
            required: Array.isArray(body['required']) && body['required'].length > 0,
            content: { 'application/json': { schema: body } },
          },
        }
      : {}),
    responses: { [String(route.status)]: success(route, schemas), ...failures(route) },
  }
}

function descriptionOf(route: Route): Json {
  const text = [route.access === 'operator' ? 'For operators.' : '', route.description ?? ''].join(' ').trim()
  return text === '' ? {} : { description: text }
}

function success(route: Route, schemas: Json): Json {
  if (route.carries === 'reply')
    return {
      description: 'The bytes.',
      content: { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } },
    }
  const schema = replySchema(route.reply, schemas)
  if (route.kind === 'json') return { description: 'Done.', content: { 'application/json': { schema } } }
  // OpenAPI 3.1 has no word for the items of a stream: the schema is that of each event's `data`.
  const description = 'Server-sent events; the `data` of each is a JSON value of this schema.'
  return { description, content: { 'text/event-stream': { schema } } }
}

function failures(route: Route): Json {
  const byStatus = new Map<number, ErrorCode[]>()
  for (const code of errorsOf(route)) {
    const { status } = errorCodes[code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  return Object.fromEntries(
    [...byStatus]
      .sort(([a], [b]) => a - b)
      .map(([status, codes]) => [
        String(status),
        {
          description: codes.map((code) => `\`${code}\``).join(', '),
          content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
        },
      ]),
  )
}

function parametersOf(schema: z.ZodType, place: 'path' | 'query'): Json[] {
  const json = inputSchema(schema)
  const required = new Set((json['required'] ?? []) as string[])
  return Object.entries((json['properties'] ?? {}) as Record<string, Json>).map(([name, { description, ...rest }]) => ({
    name,
    in: place,
    required: place === 'path' || required.has(name),
    ...(description === undefined ? {} : { description }),
    schema: rest,
  }))
}

/** The reply's schema; named ones inside it move to `components` and are referred to. */
function replySchema(reply: z.ZodType, schemas: Json): Json {
  const registry = z.registry<{ id: string }>()
  for (const [id, schema] of Object.entries(named)) registry.add(schema, { id })
  const {
    $schema: _,
    $defs,
    ...json
  } = z.toJSONSchema(reply, { io: 'output', metadata: registry, unrepresentable: 'any' })
  for (const [id, schema] of Object.entries($defs ?? {})) schemas[id] ??= referring(schema as Json)
  const id = registry.get(reply)?.id
  if (id === undefined) return referring(json)
  schemas[id] ??= referring(json)
  return { $ref: `#/components/schemas/${id}` }
}

function referring(schema: Json): Json {
  const { id: _, ...rest } = JSON.parse(
    JSON.stringify(schema).replaceAll('"#/$defs/', '"#/components/schemas/'),
  ) as Json
  return rest
}

const idempotencyKey = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description: 'A repeat with the same key within 24 hours gets the first reply again and changes nothing.',
  schema: { type: 'string', minLength: 1, maxLength: 200 },
}

const errorSchema = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message', 'hint', 'requestId'],
      properties: {
        code: { enum: Object.keys(errorCodes) },
        message: { type: 'string' },
        hint: { type: ['string', 'null'], description: 'The next step.' },
        requestId: { type: ['string', 'null'] },
      },
    },
  },
}
