import { SlopboxError } from '../../contract/errors.ts'
import { buildTemplate, getTemplate, listHosts as listHostsRoute, listTemplates } from '../../contract/templates.ts'
import type { Host, Template } from '../../contract/templates.ts'
import { reservedMiB } from '../../core/placement.ts'
import { mount } from '../../lib/mount.ts'
import type { App } from '../../lib/mount.ts'
import { actorOf } from '../auth/caller.ts'
import type { Caller } from '../auth/caller.ts'
import { unreachableAfterMs } from '../reconcilers/hosts.ts'
import { auditAct } from '../store/audit.ts'
import type { Db } from '../store/db.ts'
import { listHosts } from '../store/hosts.ts'
import { listLiving } from '../store/sandboxes.ts'
import { listBuilds, retryBuilds } from '../store/templates.ts'
import type { BuildRow } from '../store/templates.ts'
import { builtInTemplate, builtInTemplates } from '../templates.ts'
import type { TemplateDefinition } from '../templates.ts'
import type { Wake } from '../wake.ts'

export interface TemplatesDeps {
  db: Db
  wake: Wake
  clock: () => Date
}

export function mountTemplates(app: App<Caller>, deps: TemplatesDeps): void {
  const { db, wake } = deps
  mount(app, listTemplates, async () => {
    const builds = await listBuilds(
      db,
      builtInTemplates.map((template) => template.key),
    )
    return { items: builtInTemplates.map((template) => toTemplate(template, builds)) }
  })
  mount(app, getTemplate, ({ params }) => show(db, params.name))
  mount(app, buildTemplate, async ({ caller, params }) => {
    const template = find(params.name)
    await db.transaction().execute(async (tx) => {
      await retryBuilds(tx, template.key)
      await auditAct(tx, { ...actorOf(caller), teamId: null }, buildTemplate.id, { name: template.name })
    })
    wake.host()
    wake.egress()
    return await show(db, params.name)
  })
  mount(app, listHostsRoute, async () => ({ items: await showHosts(deps) }))
}

function find(name: string): TemplateDefinition {
  const template = builtInTemplate(name)
  if (template === undefined)
    throw new SlopboxError('not_found', `no template ${name}`, {
      hint: `There are ${builtInTemplates.map((each) => each.name).join(', ')}.`,
    })
  return template
}

async function show(db: Db, name: string): Promise<Template> {
  const template = find(name)
  return toTemplate(template, await listBuilds(db, [template.key]))
}

/** One word for all hosts: ready as soon as one has it, since then it can be used. */
const order = ['ready', 'building', 'failed', 'absent'] as const

function toTemplate({ name, description, key }: TemplateDefinition, builds: readonly BuildRow[]): Template {
  const own = builds.filter((build) => build.key === key)
  const build = order.flatMap((state) => own.find((each) => each.state === state) ?? [])[0]
  return {
    name,
    description,
    state: build?.state ?? 'absent',
    reason: build?.reason ?? null,
    progress: build?.progress ?? null,
    sizeBytes: build?.size_bytes ?? null,
    builtAt: build?.built_at?.toISOString() ?? null,
  }
}

async function showHosts({ db, clock }: TemplatesDeps): Promise<Host[]> {
  const [hosts, living] = await Promise.all([listHosts(db), listLiving(db)])
  return hosts.map((host) => {
    const own = living.filter((row) => row.host_id === host.id)
    const silent = clock().getTime() - host.last_seen_at.getTime() >= unreachableAfterMs
    return {
      id: host.id,
      name: host.name,
      state: silent ? 'unreachable' : 'ready',
      version: host.version,
      lastSeenAt: host.last_seen_at.toISOString(),
      drivers: host.drivers,
      capacity: { cpus: host.capacity.cpus, memoryMiB: host.capacity.memoryMiB },
      used: {
        memoryMiB: own
          .filter((row) => row.desired === 'running')
          .reduce((sum, row) => sum + reservedMiB(row.size, row.agent_id !== null), 0),
        sandboxes: own.length,
      },
    }
  })
}
