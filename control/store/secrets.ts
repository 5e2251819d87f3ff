import type { Secret } from '../../contract/egress.ts'
import type { SealedSecret } from '../../contract/sync.ts'
import { json } from './db.ts'
import type { Db, Tx } from './db.ts'
import { after, toPage } from './page.ts'
import type { Page, Paging } from './page.ts'

const columns = ['id', 'name', 'hosts', 'header', 'format', 'placeholder', 'created_at', 'updated_at'] as const

export interface SecretFields {
  /** Canonical `host` or `host:port`. */
  hosts: string[]
  header: string
  format: string
  sealed: SealedSecret
}

/** Locks the team's secret of this name until the transaction ends. */
export async function lockSecret(tx: Tx, teamId: string, name: string): Promise<Secret | undefined> {
  const row = await tx
    .selectFrom('secrets')
    .select(columns)
    .where('team_id', '=', teamId)
    .where('name', '=', name)
    .forUpdate()
    .executeTakeFirst()
  return row && toSecret(row)
}

/** Unique violation `secrets_team_id_name_key`: the name is taken. */
export async function insertSecret(
  tx: Tx,
  secret: SecretFields & { id: string; teamId: string; name: string; placeholder: string; createdBy: string | null },
): Promise<Secret> {
  const row = await tx
    .insertInto('secrets')
    .values({
      id: secret.id,
      team_id: secret.teamId,
      name: secret.name,
      placeholder: secret.placeholder,
      created_by: secret.createdBy,
      ...fieldsOf(secret),
    })
    .returning(columns)
    .executeTakeFirstOrThrow()
  return toSecret(row)
}

export async function updateSecret(tx: Tx, id: string, fields: SecretFields): Promise<Secret> {
  const row = await tx
    .updateTable('secrets')
    .set({ ...fieldsOf(fields), updated_at: new Date() })
    .where('id', '=', id)
    .returning(columns)
    .executeTakeFirstOrThrow()
  return toSecret(row)
}

export async function listSecrets(db: Db, teamId: string, query: Paging): Promise<Page<Secret>> {
  const rows = await db
    .selectFrom('secrets')
    .select(columns)
    .where('team_id', '=', teamId)
    .where(after('created_at', 'id', query.cursor))
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(query.limit + 1)
    .execute()
  return toPage(rows, query.limit, (row) => row.created_at, toSecret)
}

/** The team's secrets that may be sent to `host`, `host` being canonical as in `hosts`. */
export async function secretNamesFor(db: Db, teamId: string, hosts: readonly string[]): Promise<string[]> {
  const rows = await db
    .selectFrom('secrets')
    .select(['name', 'hosts'])
    .where('team_id', '=', teamId)
    .orderBy('name')
    .execute()
  return rows.filter((row) => row.hosts.some((host) => hosts.includes(host))).map((row) => row.name)
}

export async function removeSecret(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('secrets').where('id', '=', id).execute()
}

/** Names of the team's agents whose model takes its key from this secret. */
export async function agentsUsingSecret(tx: Tx, teamId: string, name: string): Promise<string[]> {
  const rows = await tx
    .selectFrom('agents')
    .select('name')
    .where('team_id', '=', teamId)
    .where('deleted_at', 'is', null)
    .where((eb) => eb.ref('model', '->>').key('secret'), '=', name)
    .orderBy('name')
    .execute()
  return rows.map((row) => row.name)
}

function fieldsOf({ hosts, header, format, sealed }: SecretFields): {
  hosts: string
  header: string
  format: string
  key_id: string
  wrapped_key: string
  iv: string
  data: string
} {
  return {
    hosts: json(hosts),
    header,
    format,
    key_id: sealed.keyId,
    wrapped_key: sealed.wrappedKey,
    iv: sealed.iv,
    data: sealed.data,
  }
}

function toSecret(row: {
  id: string
  name: string
  hosts: string[]
  header: string
  format: string
  placeholder: string
  created_at: Date
  updated_at: Date
}): Secret {
  return {
    id: row.id,
    name: row.name,
    hosts: row.hosts,
    header: row.header,
    format: row.format,
    placeholder: row.placeholder,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
  }
}
