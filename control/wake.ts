import { EventEmitter } from 'node:events'

/** Parties that wait for work: held-open syncs and the reconcilers. */
export const listeners = ['host', 'egress', 'gateway', 'reconcile', 'expiry'] as const
export type Listener = (typeof listeners)[number]

/** Something a team's console shows has changed. */
export interface Change {
  kind: string
  teamId: string
  agentId: string | null
  sandboxId: string | null
  at: string
}

/** The in-process signal between what writes desired state and what waits for it. Says only *that* something changed. */
export interface Wake {
  /** The desired set of hosts may differ. */
  host(): void
  /** The policies may differ. */
  egress(): void
  /** Some grant may have ended. */
  gateway(): void
  /** A reconciler may have work. */
  reconcile(): void
  /** The next end of a sandbox's time may be sooner. */
  expiry(): void
  /** Tells the team's consoles to read again. `kind` is `noun.verb`, for example `agent.updated`. */
  changed(teamId: string, change: { kind: string; agentId?: string | null; sandboxId?: string | null }): void
  /** Calls `listener` at every signal until the returned function is called. */
  on(what: Listener, listener: () => void): () => void
  onChange(teamId: string, listener: (change: Change) => void): () => void
  /** How often `what` was signalled so far: read it before the database, compare after, and no signal is missed. */
  count(what: Listener): number
  /** Resolves at the first signal after `since` (a `count`), or when the signal aborts. */
  next(what: Listener, since: number, signal: AbortSignal): Promise<void>
}

export function createWake(clock: () => Date = () => new Date()): Wake {
  const emitter = new EventEmitter()
  emitter.setMaxListeners(0)
  const counts: Record<Listener, number> = { host: 0, egress: 0, gateway: 0, reconcile: 0, expiry: 0 }
  const signal = (what: Listener): void => {
    counts[what] += 1
    emitter.emit(what)
  }
  const on = (name: string, listener: (...args: never[]) => void): (() => void) => {
    emitter.on(name, listener as () => void)
    return () => void emitter.off(name, listener as () => void)
  }
  return {
    host: () => signal('host'),
    egress: () => signal('egress'),
    gateway: () => signal('gateway'),
    reconcile: () => signal('reconcile'),
    expiry: () => signal('expiry'),
    changed(teamId, { kind, agentId = null, sandboxId = null }) {
      const change: Change = { kind, teamId, agentId, sandboxId, at: clock().toISOString() }
      emitter.emit(`team:${teamId}`, change)
    },
    on,
    onChange: (teamId, listener) => on(`team:${teamId}`, listener),
    count: (what) => counts[what],
    next(what, since, abort) {
      if (counts[what] !== since || abort.aborted) return Promise.resolve()
      return new Promise((resolve) => {
        const done = (): void => {
          off()
          abort.removeEventListener('abort', done)
          resolve()
        }
        const off = on(what, done)
        abort.addEventListener('abort', done, { once: true })
      })
    },
  }
}
