import { syncEgress, syncGateway, syncHost } from '../../contract/sync.ts'
import type { Input } from '../../contract/route.ts'
import type { AuditRecord } from '../../contract/egress.ts'
import { dayOf } from '../../core/metering.ts'
import { KeyedQueue } from '../../lib/keyed-queue.ts'
import { mountAs } from '../../lib/mount.ts'
import type { App } from '../../lib/mount.ts'
import type { Caller } from '../auth/caller.ts'
import { internalOnly } from '../auth/internal.ts'
import type { InternalTokens } from '../auth/internal.ts'
import { desiredOn } from '../desired.ts'
import { storeObserved } from '../observed.ts'
import { composePolicies } from '../policies.ts'
import { insertAudit } from '../store/audit.ts'
import type { Db } from '../store/db.ts'
import { endedGrants } from '../store/grants.ts'
import { upsertHost } from '../store/hosts.ts'
import { readSettings } from '../store/settings.ts'
import { ensureBuilds, storeObservedTemplate } from '../store/templates.ts'
import { addReadings } from '../store/usage.ts'
import type { ReadingSource } from '../store/usage.ts'
import { builtInTemplates } from '../templates.ts'
import type { Wake } from '../wake.ts'
import { hold } from './held.ts'

export interface SyncDeps {
  db: Db
  wake: Wake
  clock: () => Date
  /** Domain of agents, with its port. */
  domain: string
  internalTokens: InternalTokens
}

/** Reports hold up to a thousand audit records or fifty thousand grants. */
const bodyLimit = 16 * 1024 * 1024
/** Policies outlive a short absence of control; longer than this, egress denies everything. */
const policiesValidMs = 5 * 60_000

export function mountSync(app: App<Caller>, deps: SyncDeps): void {
  mountHostSync(app, deps)
  mountEgressSync(app, deps)
  mountGatewaySync(app, deps)
}

function mountHostSync(app: App<Caller>, deps: SyncDeps): void {
  const { db, wake } = deps
  const reports = new KeyedQueue()
  mountAs(
    app,
    syncHost,
    internalOnly(deps.internalTokens, 'host'),
    async ({ body, signal }) => {
      // In the order in which they came: news of a sandbox must not be undone by what was said before.
      const hostId = await reports.run(body.name, () => storeReport(deps, body))
      return await hold({
        hash: body.hash,
        holdMs: body.holdMs,
        signal,
        wake,
        listener: 'host',
        compose: async () => ({ hostId, ...(await desiredOn(db, deps.domain, hostId)) }),
      })
    },
    { bodyLimit },
  )
}

/** What is waited for most comes first. Answers the host's id. */
async function storeReport(deps: SyncDeps, body: Input<typeof syncHost>['body']): Promise<string> {
  const { db, wake } = deps
  const { name, version, drivers, capacity, registries } = body
  const host = await upsertHost(db, { name, version, drivers, capacity, registries }, deps.clock())
  const seen = await storeObserved(db, host.id, body.sandboxes, deps.clock())
  for (const { teamId, agentId, sandboxId } of seen.changed)
    wake.changed(teamId, { kind: 'sandbox.updated', agentId, sandboxId })
  await ensureBuilds(db, host.id, builtInTemplates)
  let built = false
  for (const template of body.templates) built = (await storeObservedTemplate(db, host.id, template)) || built
  await storeReadings(deps, 'host', body.readings)
  if (seen.stateChanged || built || body.hash === null) signalAll(wake)
  return host.id
}

function signalAll(wake: Wake): void {
  wake.egress()
  wake.gateway()
  wake.reconcile()
}

function mountEgressSync(app: App<Caller>, deps: SyncDeps): void {
  const { db, wake } = deps
  mountAs(
    app,
    syncEgress,
    internalOnly(deps.internalTokens, 'egress'),
    async ({ body, signal }) => {
      await storeReadings(deps, 'egress', body.readings)
      await storeAudit(db, body.audit)
      return await hold({
        hash: body.hash,
        holdMs: body.holdMs,
        signal,
        wake,
        listener: 'egress',
        compose: async () => {
          const { allowedRanges, extraRoots } = await readSettings(db)
          const policies = await composePolicies(db, deps.clock())
          return { policies, allowedRanges, extraRoots, validMs: policiesValidMs }
        },
      })
    },
    { bodyLimit },
  )
}

function mountGatewaySync(app: App<Caller>, deps: SyncDeps): void {
  const { db, wake } = deps
  mountAs(
    app,
    syncGateway,
    internalOnly(deps.internalTokens, 'gateway'),
    async ({ body, signal }) => {
      await storeReadings(deps, 'gateway', body.readings)
      await storeAudit(db, body.audit)
      return await hold({
        hash: body.hash,
        holdMs: body.holdMs,
        signal,
        wake,
        listener: 'gateway',
        compose: async () => ({ ended: await endedGrants(db, body.grants) }),
      })
    },
    { bodyLimit },
  )
}

async function storeReadings(
  deps: SyncDeps,
  source: ReadingSource,
  readings: Parameters<typeof addReadings>[2],
): Promise<void> {
  const added = await addReadings(deps.db, source, readings, dayOf(deps.clock()))
  // CPU and memory cost nothing; what crossed the border may have used up a budget.
  if (added && source !== 'host') deps.wake.reconcile()
}

/** The team is looked up here, since the other processes know agents and sandboxes only. */
async function storeAudit(db: Db, records: readonly AuditRecord[]): Promise<void> {
  const ids = [...new Set(records.flatMap((record) => record.sandboxId ?? []))]
  const agentIds = [...new Set(records.flatMap((record) => record.agentId ?? []))]
  const sandboxes =
    ids.length === 0 ? [] : await db.selectFrom('sandboxes').select(['id', 'team_id']).where('id', 'in', ids).execute()
  const agents =
    agentIds.length === 0
      ? []
      : await db.selectFrom('agents').select(['id', 'team_id']).where('id', 'in', agentIds).execute()
  const teams = new Map([...sandboxes, ...agents].map((row) => [row.id, row.team_id]))
  await insertAudit(
    db,
    records.map((record) => ({
      record,
      teamId: teams.get(record.sandboxId ?? '') ?? teams.get(record.agentId ?? '') ?? null,
    })),
  )
}
