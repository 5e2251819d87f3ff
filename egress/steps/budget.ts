import type { DenyReason } from '../../contract/egress.ts'
import type { EgressPolicy } from '../../contract/sync.ts'

/** Step 3: nothing more may be spent once plan and budget are used up. */
export function budgetStep(policy: EgressPolicy): DenyReason | null {
  return policy.exhausted ? 'budget' : null
}
