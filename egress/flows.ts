import type { AuditRecord, DenyReason } from '../contract/egress.ts'
import type { EgressPolicy } from '../contract/sync.ts'
import type { Meter } from '../contract/usage.ts'
import type { Counters } from '../lib/counters.ts'
import type { Policies } from './policies.ts'
import type { Audit } from './steps/audit.ts'
import { meterBytes, meterModel, type Direction, type ModelUse } from './steps/meter.ts'

/** One request, tunnel or DNS name from its first byte to its one audit record. */
export interface Flow {
  readonly sandboxId: string | null
  /** The policy as it was when the flow began: one decision never mixes two policies. */
  readonly policy: EgressPolicy | undefined
  /** Fields of the record to come; steps fill them in. */
  readonly record: FlowRecord
  /** Counts bytes that are about to be passed on. */
  pass(direction: Direction, bytes: number): void
  model(use: ModelUse): void
  modelRequest(): void
  deny(reason: DenyReason, status: number | null): void
  /** Asked again after every change of policies; a reason ends the flow through `kill`. */
  watch(check: (policy: EgressPolicy | undefined) => DenyReason | null, kill: (reason: DenyReason) => void): void
  /** Writes the record; later calls do nothing. */
  end(): void
  /** Ends without a record: the requests inside the tunnel get their own. */
  drop(): void
}

export interface FlowRecord {
  decision: 'allow' | 'deny'
  reason: DenyReason | null
  rule: string | null
  method: string | null
  host: string | null
  port: number | null
  path: string | null
  status: number | null
  detail: AuditRecord['detail']
}

export interface FlowStart {
  kind: 'http' | 'tunnel' | 'dns'
  sandboxId: string | null
  /** The proxy token it came with (SHA-256, hex); without it, it came by its link. */
  token?: string | null
  method?: string | null
  host?: string | null
  port?: number | null
  path?: string | null
  detail?: AuditRecord['detail']
}

export interface Flows {
  open(start: FlowStart): Flow
  /** Ends every flow; from then on nothing is counted or recorded. */
  close(): void
  /** Flows of this sandbox that are open now. */
  count(sandboxId: string): number
}

interface Watched {
  sandboxId: string
  token: string | null
  check: (policy: EgressPolicy | undefined) => DenyReason | null
  kill: (reason: DenyReason) => void
}

export function createFlows(policies: Policies, counters: Counters<Meter>, audit: Audit, onNews: () => void): Flows {
  const open = new Map<Flow, Watched | null>()
  const state = { closed: false }
  const perSandbox = new Map<string, number>()
  const tally = (sandboxId: string | null, change: 1 | -1): void => {
    if (sandboxId === null) return
    const count = (perSandbox.get(sandboxId) ?? 0) + change
    if (count > 0) perSandbox.set(sandboxId, count)
    else perSandbox.delete(sandboxId)
  }
  policies.onChange(() => {
    for (const [flow, watched] of open) {
      const reason = watched && whyOver(policies, watched)
      if (watched === null || reason === null) continue
      open.set(flow, null)
      flow.deny(reason, flow.record.status)
      watched.kill(reason)
      flow.end()
    }
  })
  return {
    open(start) {
      const flow = createFlow(start, policies, counters, audit, onNews, {
        watch: (watched) => void (open.has(flow) && open.set(flow, watched)),
        ended: () => {
          if (open.delete(flow)) tally(flow.sandboxId, -1)
        },
        closed: () => state.closed,
        // Bytes that cannot be counted are not passed on.
        uncounted: () => {
          flow.deny('rate', flow.record.status)
          open.get(flow)?.kill('rate')
        },
      })
      open.set(flow, null)
      tally(start.sandboxId, 1)
      return flow
    },
    close() {
      for (const flow of open.keys()) {
        flow.record.detail['broken'] = 'shutdown'
        flow.end()
      }
      state.closed = true
    },
    count: (sandboxId) => perSandbox.get(sandboxId) ?? 0,
  }
}

/** Why a flow may not go on under the policies as they are now; null: it may. */
function whyOver(policies: Policies, { sandboxId, token, check }: Watched): DenyReason | null {
  const policy = policies.getBy(sandboxId, token)
  return policy === undefined && policies.get(sandboxId) !== undefined ? 'revoked' : check(policy)
}

interface Registry {
  watch(watched: Watched): void
  ended(): void
  closed(): boolean
  uncounted(): void
}

function createFlow(
  start: FlowStart,
  policies: Policies,
  counters: Counters<Meter>,
  audit: Audit,
  onNews: () => void,
  registry: Registry,
): Flow {
  const began = performance.now()
  const { sandboxId, token = null } = start
  const policy = sandboxId === null ? undefined : policies.getBy(sandboxId, token)
  const bytes = { out: 0, in: 0 }
  let ended = false
  const record: FlowRecord = {
    decision: 'allow',
    reason: null,
    rule: null,
    method: start.method?.slice(0, 64) ?? null,
    host: start.host ?? null,
    port: start.port ?? null,
    path: start.path ?? null,
    status: null,
    detail: { ...start.detail },
  }
  const counted = (add: (id: string) => void): void => {
    if (sandboxId === null || registry.closed()) return
    try {
      add(sandboxId)
      onNews()
    } catch (error) {
      record.detail['uncounted'] = error instanceof Error ? error.message : String(error)
      registry.uncounted()
    }
  }
  return {
    sandboxId,
    policy,
    record,
    pass(direction, count) {
      bytes[direction] += count
      if (count > 0) counted((id) => meterBytes(counters, id, direction, count))
    },
    model: (use) => counted((id) => meterModel(counters, id, use)),
    modelRequest: () => counted((id) => counters.add(id, 'model_requests', 1)),
    deny(reason, status) {
      if (ended || record.decision === 'deny') return
      record.decision = 'deny'
      record.reason = reason
      record.status = status
    },
    watch(check, kill) {
      if (sandboxId !== null && !ended) registry.watch({ sandboxId, token, check, kill })
    },
    drop() {
      if (ended) return
      ended = true
      registry.ended()
    },
    end() {
      if (ended) return
      ended = true
      registry.ended()
      if (registry.closed()) return
      // Builds have no sandbox or agent in the contract's sense; their id goes into the detail.
      const isSandbox = sandboxId?.startsWith('sb') === true
      audit.write({
        ...record,
        kind: start.kind,
        agentId: policy?.agentId ?? null,
        sandboxId: isSandbox ? sandboxId : null,
        bytesOut: bytes.out,
        bytesIn: bytes.in,
        durationMs: Math.round((performance.now() - began) * 100) / 100,
        detail: { ...record.detail, ...(isSandbox || sandboxId === null ? {} : { build: sandboxId }) },
      })
    },
  }
}
