import { X509Certificate } from 'node:crypto'
import { hashPassword } from 'better-auth/crypto'
import { SlopboxError } from '../../contract/errors.ts'
import { newId } from '../../contract/ids.ts'
import {
  adminCreateUser,
  adminListUsers,
  createKey,
  deleteKey,
  getAuthOptions,
  getMe,
  getSettings,
  listKeys as listKeysRoute,
  redeemSignInLink as redeemRoute,
  updateSettings,
} from '../../contract/people.ts'
import type { Settings } from '../../contract/people.ts'
import { mount, mountAs } from '../../lib/mount.ts'
import type { App } from '../../lib/mount.ts'
import { actorOf } from '../auth/caller.ts'
import type { Caller } from '../auth/caller.ts'
import { markSecure, startSession } from '../auth/library.ts'
import type { Provider } from '../auth/library.ts'
import { hashToken, newApiKey } from '../auth/tokens.ts'
import { auditAct } from '../store/audit.ts'
import type { Db } from '../store/db.ts'
import { isUniqueViolation } from '../store/db.ts'
import { insertKey, listKeys, removeKey } from '../store/keys.ts'
import { insertUser, listTeamsOf, listUsers } from '../store/people.ts'
import { changeSettings, readSettings } from '../store/settings.ts'
import { redeemSignInLink } from '../store/sign-in-links.ts'
import type { Wake } from '../wake.ts'

export interface PeopleDeps {
  db: Db
  authSecret: string
  providers: readonly Provider[]
  wake: Pick<Wake, 'egress' | 'gateway'>
}

export function mountPeople(app: App<Caller>, deps: PeopleDeps): void {
  const { db } = deps
  mountSignIn(app, deps)
  mountKeys(app, deps)
  mountUsers(app, deps)
  mount(app, getMe, async ({ caller }) => ({
    user: { ...caller.user, createdAt: caller.user.createdAt.toISOString() },
    team: caller.team,
    teams: await listTeamsOf(db, caller.user.id),
    key: caller.key,
  }))
  mount(app, getSettings, () => readSettings(db))
  mount(app, updateSettings, async ({ body, caller }) => {
    const change = Object.fromEntries(
      Object.entries(body).filter(([, value]) => value !== undefined),
    ) as Partial<Settings>
    checkSettings(change)
    const settings = await db.transaction().execute(async (tx) => {
      const changed = await changeSettings(tx, change)
      await auditAct(tx, { ...actorOf(caller), teamId: null }, updateSettings.id, {
        fields: Object.keys(change).join(' '),
        ...(change.signUp === undefined ? {} : { signUp: change.signUp }),
        ...(change.allowedRanges === undefined ? {} : { allowedRanges: change.allowedRanges.join(' ').slice(0, 2000) }),
      })
      return changed
    })
    deps.wake.egress()
    return settings
  })
}

function mountSignIn(app: App<Caller>, deps: PeopleDeps): void {
  mountAs(app, getAuthOptions, anyone, async () => ({
    signUp: (await readSettings(deps.db)).signUp,
    providers: deps.providers.map(({ id, name }) => ({ id, name })),
  }))
  mountAs(app, redeemRoute, anyone, async ({ body, headers, replyHeader }) => {
    const user = await redeemSignInLink(deps.db, hashToken(body.token))
    if (user === undefined)
      throw new SlopboxError('not_found', 'this sign-in link is unknown, used or expired', {
        hint: 'Make a new one: `slopbox sign-in-link`.',
      })
    const { 'user-agent': userAgent = null, 'x-forwarded-for': address, 'x-forwarded-proto': proto } = headers
    const cookie = await startSession(deps, user.id, { userAgent, address: [address ?? []].flat()[0] ?? null })
    replyHeader('set-cookie', markSecure(cookie, [proto ?? []].flat()[0] ?? null))
    return { user }
  })
}

function mountKeys(app: App<Caller>, deps: PeopleDeps): void {
  const { db } = deps
  mount(app, createKey, async ({ body, caller }) => {
    if (body.service && caller.user.role !== 'operator')
      throw new SlopboxError('forbidden', 'service keys are for operators')
    const key = newApiKey()
    const id = newId('key')
    const expiresAt = body.expiresInDays === null ? null : new Date(Date.now() + body.expiresInDays * 86_400_000)
    const made = await db.transaction().execute(async (tx) => {
      await auditAct(tx, actorOf(caller), createKey.id, { id, name: body.name, service: body.service })
      return await insertKey(tx, {
        id,
        teamId: caller.team.id,
        userId: caller.user.id,
        name: body.name,
        start: key.slice(0, 9),
        hash: hashToken(key),
        service: body.service,
        expiresAt,
      })
    })
    return { ...made, key }
  })
  mount(app, listKeysRoute, ({ query, caller }) => listKeys(db, caller.team.id, query))
  mount(app, deleteKey, async ({ params, caller }) => {
    await db.transaction().execute(async (tx) => {
      const name = await removeKey(tx, caller.team.id, params.id)
      if (name === undefined) throw new SlopboxError('not_found', `no API key ${params.id}`)
      await auditAct(tx, actorOf(caller), deleteKey.id, { id: params.id, name })
    })
    deps.wake.gateway()
    return { ok: true as const }
  })
}

function mountUsers(app: App<Caller>, { db }: PeopleDeps): void {
  mount(app, adminCreateUser, async ({ body, caller }) => {
    const { email, name, role } = body
    const passwordHash = await hashPassword(body.password)
    try {
      return await db.transaction().execute(async (tx) => {
        const { user, teamId } = await insertUser(tx, { email, name, role, passwordHash })
        await auditAct(tx, { ...actorOf(caller), teamId: null }, adminCreateUser.id, { id: user.id, email, role })
        return { ...user, teamId }
      })
    } catch (error) {
      if (isUniqueViolation(error, 'users_email_key'))
        throw new SlopboxError('conflict', `body.email: ${email} has an account already`, { cause: error })
      throw error
    }
  })
  mount(app, adminListUsers, ({ query }) => listUsers(db, query))
}

/** What Zod cannot see: that ranges are no wider than somebody's network, and that every certificate can be read. */
function checkSettings(change: Partial<Settings>): void {
  for (const range of change.allowedRanges ?? []) {
    const bits = Number(range.split('/')[1])
    const least = range.includes(':') ? 16 : 8
    if (bits < least)
      throw new SlopboxError('invalid_request', `body.allowedRanges: ${range} is wider than /${least}`, {
        hint: 'Name the networks of your own registries and mirrors.',
      })
  }
  const roots = change.extraRoots?.trim() ?? ''
  if (roots === '') return
  const certificates = roots.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []
  const rest = certificates.reduce((text, pem) => text.replace(pem, ''), roots)
  if (certificates.length === 0 || rest.includes('-----BEGIN'))
    throw new SlopboxError('invalid_request', 'body.extraRoots: must be PEM certificates and nothing else')
  for (const [index, pem] of certificates.entries()) {
    try {
      new X509Certificate(pem)
    } catch (cause) {
      throw new SlopboxError('invalid_request', `body.extraRoots: certificate ${index + 1} is not readable`, { cause })
    }
  }
}

async function anyone(): Promise<null> {
  return null
}
