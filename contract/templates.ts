import { z } from 'zod'
import { Timestamp } from './page.ts'
import { route } from './route.ts'

export const templateStates = ['absent', 'building', 'ready', 'failed'] as const

/** Progress of a build: `step` of `steps`, what it does, and its last lines of output. */
export const BuildProgress = z.object({ step: z.int(), steps: z.int(), title: z.string(), lines: z.array(z.string()) })
export type BuildProgress = z.infer<typeof BuildProgress>

export const Template = z.object({
  name: z.string(),
  description: z.string(),
  state: z.enum(templateStates),
  reason: z.string().nullable(),
  progress: BuildProgress.nullable(),
  sizeBytes: z.int().nullable(),
  builtAt: Timestamp.nullable(),
})
export type Template = z.infer<typeof Template>
const params = z.strictObject({ name: z.string().max(128) })
export const listTemplates = route({
  id: 'templates.list',
  method: 'GET',
  path: '/v1/templates',
  summary: 'List templates',
  reply: z.object({ items: z.array(Template) }),
})
export const getTemplate = route({
  id: 'templates.get',
  method: 'GET',
  path: '/v1/templates/:name',
  summary: 'Get a template',
  params,
  reply: Template,
  errors: ['not_found'],
})
export const buildTemplate = route({
  id: 'templates.build',
  method: 'POST',
  path: '/v1/templates/:name/build',
  access: 'operator',
  summary: 'Build a template on every host that lacks it',
  params,
  reply: Template,
  errors: ['not_found'],
})

export const Host = z.object({
  id: z.string(),
  name: z.string(),
  state: z.enum(['ready', 'unreachable']),
  version: z.string(),
  lastSeenAt: Timestamp,
  drivers: z.array(z.object({ name: z.string(), isolations: z.array(z.string()) })),
  capacity: z.object({ cpus: z.number(), memoryMiB: z.int() }),
  used: z.object({ memoryMiB: z.int(), sandboxes: z.int() }),
})
export type Host = z.infer<typeof Host>
export const listHosts = route({
  id: 'hosts.list',
  method: 'GET',
  path: '/v1/hosts',
  access: 'operator',
  summary: 'List hosts',
  reply: z.object({ items: z.array(Host) }),
})
