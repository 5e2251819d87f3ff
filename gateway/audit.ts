import { SlopboxError } from '../contract/errors.ts'
import type { AuditRecord } from '../contract/egress.ts'
import { newId } from '../contract/ids.ts'
import type { Spool } from '../lib/spool.ts'
import type { Grant } from './grants.ts'

/** Writes one record of what somebody tried. It is on the disk when the call returns. */
export type Audit = (record: Partial<AuditRecord> & Pick<AuditRecord, 'kind' | 'decision'>) => void

export interface Auditor {
  write: Audit
  /** Throws `unavailable` when nothing more can be recorded: then nothing new may begin. */
  assertRoom(): void
}

export function auditor(spool: Spool<AuditRecord>, wake: () => void): Auditor {
  return {
    write(record) {
      spool.append({
        id: newId('audit'),
        at: new Date().toISOString(),
        source: 'gateway',
        reason: null,
        rule: null,
        agentId: null,
        sandboxId: null,
        userId: null,
        actor: null,
        method: null,
        host: null,
        port: null,
        path: null,
        status: null,
        bytesOut: 0,
        bytesIn: 0,
        durationMs: 0,
        detail: {},
        ...record,
      })
      wake()
    },
    assertRoom() {
      if (spool.full)
        throw new SlopboxError('unavailable', 'audit records wait for control and the spool is full', {
          hint: 'Check that control is up: `slopbox status`.',
        })
    },
  }
}

/** Who and what, for a record about something done under a grant. */
export const subject = (grant: Grant): Pick<AuditRecord, 'agentId' | 'sandboxId' | 'userId'> => ({
  agentId: grant.agentId,
  sandboxId: grant.sandboxId,
  userId: grant.userId,
})
