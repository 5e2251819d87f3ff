import type { Db } from '../store/db.ts'
import { findSandbox } from '../store/sandboxes.ts'
import type { SandboxRow } from '../store/sandboxes.ts'
import type { Wake } from '../wake.ts'

/** Reads a sandbox again at all news of it until it is `settled` or the signal aborts; resolves with what was read last. */
export async function untilSandbox(
  { db, wake }: { db: Db; wake: Wake },
  from: SandboxRow,
  over: AbortSignal,
  settled: (row: SandboxRow) => boolean,
): Promise<SandboxRow> {
  let row = from
  let news = Promise.withResolvers<void>()
  const off = wake.onChange(from.team_id, (change) => {
    if (change.sandboxId === from.id) news.resolve()
  })
  const end = (): void => news.resolve()
  over.addEventListener('abort', end, { once: true })
  try {
    for (;;) {
      // Renewed before reading, so that news during the read are not missed.
      news = Promise.withResolvers<void>()
      row = (await findSandbox(db, from.team_id, from.id)) ?? row
      if (settled(row) || over.aborted) return row
      await news.promise
    }
  } finally {
    off()
    over.removeEventListener('abort', end)
  }
}
