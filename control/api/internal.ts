import { hashPassword } from 'better-auth/crypto'
import { sql } from 'kysely'
import { SlopboxError } from '../../contract/errors.ts'
import { newId } from '../../contract/ids.ts'
import { bootstrap, createSignInLink, internalHealth } from '../../contract/internal.ts'
import { mountAs } from '../../lib/mount.ts'
import type { App } from '../../lib/mount.ts'
import type { Caller } from '../auth/caller.ts'
import { internalOnly } from '../auth/internal.ts'
import type { InternalTokens } from '../auth/internal.ts'
import { hashToken, newApiKey, randomText } from '../auth/tokens.ts'
import { auditAct } from '../store/audit.ts'
import type { Db } from '../store/db.ts'
import { insertKey } from '../store/keys.ts'
import { findFirstOperator, findUserByEmail, insertUser } from '../store/people.ts'
import { insertSignInLink } from '../store/sign-in-links.ts'

const linkValidMs = 24 * 3_600_000
/** Any constant; two bootstraps at once make one operator. */
const bootstrapLock = 740_613_002

/** What `slopbox up` and the supervisor ask. */
export function mountInternal(app: App<Caller>, deps: { db: Db; tokens: InternalTokens; version: string }): void {
  const { db } = deps
  const operator = internalOnly(deps.tokens, 'operator')
  mountAs(app, bootstrap, operator, ({ body }) => makeFirstOperator(db, body.email))
  mountAs(app, createSignInLink, operator, async ({ body }) => {
    const user = body.email === undefined ? await findFirstOperator(db) : await findUserByEmail(db, body.email)
    if (user === undefined) throw new SlopboxError('not_found', `no user ${body.email ?? 'with the operator role'}`)
    const token = randomText(40)
    const expiresAt = new Date(Date.now() + linkValidMs)
    await db.transaction().execute(async (tx) => {
      await insertSignInLink(tx, { tokenHash: hashToken(token), userId: user.id, expiresAt })
      await auditAct(tx, installation, createSignInLink.id, { userId: user.id })
    })
    return { token, email: user.email, expiresAt: expiresAt.toISOString() }
  })
  const anyProcess = internalOnly(deps.tokens, 'operator', 'host', 'egress', 'gateway')
  mountAs(app, internalHealth, anyProcess, async () => {
    try {
      await sql`select 1`.execute(db)
    } catch (cause) {
      throw new SlopboxError('unavailable', 'the database does not answer', { cause })
    }
    return { ok: true as const, version: deps.version }
  })
}

async function makeFirstOperator(
  db: Db,
  email: string,
): Promise<{ created: boolean; email: string; password: string | null; apiKey: string | null }> {
  const password = randomText(20)
  const apiKey = newApiKey()
  const passwordHash = await hashPassword(password)
  return await db.transaction().execute(async (tx) => {
    await sql`select pg_advisory_xact_lock(${bootstrapLock})`.execute(tx)
    const there = await findFirstOperator(tx)
    if (there !== undefined) return { created: false, email: there.email, password: null, apiKey: null }
    const { user, teamId } = await insertUser(tx, { email, name: 'Operator', role: 'operator', passwordHash })
    await insertKey(tx, {
      id: newId('key'),
      teamId,
      userId: user.id,
      name: 'slopbox up',
      start: apiKey.slice(0, 9),
      hash: hashToken(apiKey),
      service: false,
      expiresAt: null,
    })
    await auditAct(tx, installation, bootstrap.id, { userId: user.id, email: user.email })
    return { created: true, email: user.email, password, apiKey }
  })
}

/** Acts of whoever runs this machine, before or beside any account. */
const installation = { userId: null, actor: 'operator.token', teamId: null }
