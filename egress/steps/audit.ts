import type { AuditRecord, DenyReason } from '../../contract/egress.ts'
import { newId } from '../../contract/ids.ts'
import type { Log } from '../../lib/log.ts'
import type { Spool } from '../../lib/spool.ts'

export interface Audit {
  /** Writes a record to disk before it returns. */
  write(record: Omit<AuditRecord, 'id' | 'at' | 'source' | 'userId' | 'actor'>): void
  /** False when the next record could not be kept; then nothing may be allowed. */
  readonly ready: boolean
}

/** Step 7: what was tried, once each. A disk that takes no records closes the gate. */
export function createAudit(spool: Spool<AuditRecord>, log: Log, onNews: () => void): Audit {
  let broken = false
  return {
    write(record) {
      const { path, host, ...rest } = record
      const whole: AuditRecord = {
        id: newId('audit'),
        at: new Date().toISOString(),
        source: 'egress',
        userId: null,
        actor: null,
        ...rest,
        host: host?.slice(0, 300) ?? null,
        path: path?.slice(0, 2048) ?? null,
      }
      try {
        broken = !spool.append(whole)
        if (broken) log.error({ refused: spool.refused }, 'audit spool is full: everything is denied')
      } catch (error) {
        broken = true
        log.error({ err: error }, 'audit record cannot be written: everything is denied')
      }
      onNews()
    },
    get ready() {
      // A denial is still written; its success opens the gate again.
      return !broken && !spool.full
    },
  }
}

/** Reasons that say the other side failed rather than that the policy forbade it. */
export const upstreamReasons: readonly DenyReason[] = [
  'unresolvable',
  'connect_failed',
  'tls_failed',
  'upstream_failed',
]
