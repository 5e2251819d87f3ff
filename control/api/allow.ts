import { canonicalPattern } from '../egress-hosts.ts'
import type { Tx } from '../store/db.ts'
import { insertRule } from '../store/rules.ts'

/** The `allow` list of a request in canonical spelling, each host once. Throws `invalid_request` naming the bad one. */
export function allowedHosts(allow: readonly string[]): string[] {
  return [...new Set(allow.map((text, index) => canonicalPattern(`body.allow.${index}`, text)))]
}

/** Rules given together with a new agent or sandbox, which cannot have any of them yet. */
export async function insertAllowed(
  tx: Tx,
  of: { teamId: string; createdBy: string } & (
    | { scope: 'agent'; agentId: string; sandboxId: null }
    | { scope: 'sandbox'; agentId: null; sandboxId: string }
  ),
  hosts: readonly string[],
): Promise<void> {
  for (const host of hosts) await insertRule(tx, { ...of, host, port: null, note: '' })
}
