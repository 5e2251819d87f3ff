import { sql } from 'kysely'
import type { Kysely, Migration } from 'kysely'

export const sandboxTime: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      alter table sandboxes
        add column timeout_ms bigint,
        add column on_timeout text not null default 'destroy' check (on_timeout in ('destroy', 'pause')),
        add column wake_on_traffic boolean not null default false`.execute(db)
  },
}
