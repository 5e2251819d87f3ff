import type { Plan, Usage } from '../contract/usage.ts'

const bytesPerGiB = 1024 ** 3

export interface Assessment {
  includedBytes: number
  overageCents: number
  verdict: Usage['verdict']
}

/**
 * What a usage period's bandwidth costs and whether it may go on. `exceeded` needs both: more than the plan includes, and
 * a cost above the budget. Every started cent counts, so a budget of nothing ends with the first byte beyond the plan.
 */
export function assess(
  plan: Pick<Plan, 'bandwidthGiB' | 'overageCentsPerGiB'>,
  usedBytes: number,
  budgetCents: number,
): Assessment {
  const includedBytes = Math.floor(plan.bandwidthGiB * bytesPerGiB)
  const over = Math.max(0, usedBytes - includedBytes)
  // BigInt, because bytes times cents passes 2^53 at ordinary sizes.
  const product = BigInt(over) * BigInt(plan.overageCentsPerGiB)
  const overageCents = Number((product + BigInt(bytesPerGiB) - 1n) / BigInt(bytesPerGiB))
  const verdict = over === 0 ? 'within' : overageCents > budgetCents ? 'exceeded' : 'overage'
  return { includedBytes, overageCents, verdict }
}

/** Shown on every sandbox the budget has stopped. */
export function exceededReason(plan: Pick<Plan, 'name' | 'bandwidthGiB'>, cents: number, budgetCents: number): string {
  return (
    `the ${plan.bandwidthGiB} GiB of the plan ${plan.name} are used up and ${money(cents)} of overage exceed ` +
    `the budget of ${money(budgetCents)}; raise the overage budget under Usage or wait for the next month`
  )
}

const money = (cents: number): string => (cents / 100).toFixed(2)
