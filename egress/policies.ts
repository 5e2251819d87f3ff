import type { Output } from '../contract/route.ts'
import type { EgressPolicy, syncEgress } from '../contract/sync.ts'
import { parseRange, type Range } from '../core/address-ranges.ts'
import type { Log } from '../lib/log.ts'

export type PolicySet = Output<typeof syncEgress>

export interface Policies extends Disposable {
  /** The policy in force; undefined when there is none or control has been silent for too long. */
  get(sandboxId: string): EgressPolicy | undefined
  byAgent(agentId: string): EgressPolicy[]
  /** The policy in force for who came with this proxy token (SHA-256, hex); null: by its link, which needs none. */
  getBy(sandboxId: string, token: string | null): EgressPolicy | undefined
  /** Control's word, whole: what is not in it ends. Also renews the validity of an unchanged set. */
  replace(set: PolicySet): void
  readonly allowed: readonly Range[]
  /** PEM of roots trusted upstream besides the machine's own. */
  readonly extraRoots: string
  /** Counts every change; a new number means open connections were looked at again. */
  readonly generation: number
  onChange(listener: () => void): void
}

/** Immutable policies, swapped as one. Starts empty, so that nothing passes before control has spoken. */
export function createPolicies(log: Log): Policies {
  let policies = new Map<string, EgressPolicy>()
  let allowed: readonly Range[] = []
  let extraRoots = ''
  let hash: string | undefined
  let generation = 0
  let validUntil = 0
  let expiry: NodeJS.Timeout | undefined
  const listeners: (() => void)[] = []

  const changed = (): void => {
    generation++
    for (const listener of listeners) listener()
  }
  const get = (sandboxId: string): EgressPolicy | undefined => (valid() ? policies.get(sandboxId) : undefined)
  const valid = (): boolean => performance.now() < validUntil
  const expire = (): void => {
    log.error({}, 'control has been silent too long: everything is denied')
    changed()
  }
  return {
    get,
    getBy(sandboxId, token) {
      const policy = get(sandboxId)
      return token === null || policy?.proxyTokenHash === token ? policy : undefined
    },
    byAgent: (agentId) => (valid() ? [...policies.values()].filter((policy) => policy.agentId === agentId) : []),
    replace(set) {
      const wasValid = valid()
      validUntil = performance.now() + set.validMs
      clearTimeout(expiry)
      expiry = setTimeout(expire, set.validMs).unref()
      if (set.hash === hash && wasValid) return
      hash = set.hash
      policies = new Map(set.policies.map((policy) => [policy.sandboxId, policy]))
      allowed = set.allowedRanges.flatMap((text) => {
        const range = parseRange(text)
        if (range === undefined) log.error({ range: text }, 'allowed range is not a range: ignored')
        return range ?? []
      })
      extraRoots = set.extraRoots
      changed()
    },
    get allowed() {
      return allowed
    },
    get extraRoots() {
      return extraRoots
    },
    get generation() {
      return generation
    },
    onChange: (listener) => void listeners.push(listener),
    [Symbol.dispose]: () => clearTimeout(expiry),
  }
}
