import type { Log } from '../lib/log.ts'
import { loop } from '../lib/loop.ts'
import type { App } from '../lib/mount.ts'
import { mountAgentFiles } from './api/agent-files.ts'
import { mountAgentSandbox } from './api/agent-sandbox.ts'
import { mountAgents } from './api/agents.ts'
import { mountAgentProxyToken } from './api/agent-proxy-token.ts'
import { mountAuthorize } from './api/authorize.ts'
import { dialThroughGateway, mountChat } from './api/chat.ts'
import type { ChatDeps } from './api/chat.ts'
import { mountSandboxes } from './api/sandboxes.ts'
import { mountSandboxTime } from './api/sandbox-time.ts'
import { mountSync } from './api/sync.ts'
import { mountTemplates } from './api/templates.ts'
import { mountUsage } from './api/usage.ts'
import type { Caller, Callers } from './auth/caller.ts'
import type { InternalTokens } from './auth/internal.ts'
import { enforceBudgets } from './reconcilers/budgets.ts'
import { expireSandboxes } from './reconcilers/expire.ts'
import { markUnreachable } from './reconcilers/hosts.ts'
import { placeSandboxes } from './reconcilers/place.ts'
import { sweep } from './reconcilers/sweep.ts'
import type { Db } from './store/db.ts'
import { declareTemplates } from './store/templates.ts'
import { removeOldCounters } from './store/usage.ts'
import { builtInTemplates } from './templates.ts'
import type { Wake } from './wake.ts'

export interface AgentsWiring {
  db: Db
  wake: Wake
  callers: Pick<Callers, 'fromCredentials' | 'fromSession'>
  internalTokens: InternalTokens
  masterKey: Buffer
  /** The console's origin. */
  publicUrl: string
  /** Domain of agents, with its port. */
  domain: string
  /** Where machines elsewhere reach the forward proxy; null or absent: it is off. */
  proxyUrl?: string | null
  /** Where connections into sandboxes are made. */
  gateway: { socketPath: string; token: string }
  log: Log
  clock?: () => Date
  /** Replaces the way through the gateway. */
  dialSandbox?: ChatDeps['dialSandbox']
}

/** Mounts agents, sandboxes, templates, usage and sync, and starts what keeps them in line. Before `app` listens. */
export async function wireAgents(app: App<Caller>, wiring: AgentsWiring): Promise<AsyncDisposable> {
  const deps = { ...wiring, clock: wiring.clock ?? (() => new Date()) }
  const dialSandbox = wiring.dialSandbox ?? dialThroughGateway(wiring.gateway)
  await declareTemplates(deps.db, builtInTemplates)
  mountAgents(app, deps)
  mountAgentSandbox(app, deps)
  mountAgentFiles(app, deps)
  mountAgentProxyToken(app, { ...deps, proxyUrl: wiring.proxyUrl ?? null })
  mountChat(app, { ...deps, dialSandbox })
  mountSandboxes(app, deps)
  mountSandboxTime(app, deps)
  mountTemplates(app, deps)
  mountUsage(app, deps)
  mountAuthorize(app, deps)
  mountSync(app, deps)
  return startReconcilers({ ...deps, startedAt: deps.clock() })
}

/** May say in how many milliseconds it wants to run again at the latest. */
type Reconcile = (deps: { db: Db; wake: Wake; clock: () => Date; startedAt: Date }) => Promise<number | void>

/** Each is woken by a signal, if any, and also runs by itself, so a signal that is lost costs time and nothing else. */
const reconcilers: Record<string, { everyMs: number; run: Reconcile; woken: 'reconcile' | 'expiry' | null }> = {
  place: { everyMs: 10_000, run: placeSandboxes, woken: 'reconcile' },
  sweep: { everyMs: 10_000, run: sweep, woken: 'reconcile' },
  budgets: { everyMs: 30_000, run: enforceBudgets, woken: 'reconcile' },
  expire: { everyMs: 60_000, run: expireSandboxes, woken: 'expiry' },
  hosts: { everyMs: 5_000, run: markUnreachable, woken: null },
  counters: { everyMs: 3_600_000, run: ({ db }) => removeOldCounters(db), woken: null },
}

function startReconcilers(deps: Parameters<Reconcile>[0] & { log: Log }): AsyncDisposable {
  const stack = new AsyncDisposableStack()
  for (const [name, { everyMs, run, woken }] of Object.entries(reconcilers)) {
    const running = stack.use(
      loop({
        everyMs,
        tick: () => run(deps),
        onError: (error) => deps.log.error({ reconciler: name, err: error }, 'reconciling broke off'),
      }),
    )
    if (woken !== null) stack.defer(deps.wake.on(woken, () => running.wake()))
  }
  return stack
}
