import { betterAuth } from 'better-auth'
import type { Auth } from 'better-auth'
import { APIError, createAuthMiddleware } from 'better-auth/api'
import { newId } from '../../contract/ids.ts'
import type { IdKind } from '../../contract/ids.ts'
import { describeFailure } from '../../lib/faults.ts'
import type { Log } from '../../lib/log.ts'
import { tokenBuckets } from '../../lib/token-bucket.ts'
import type { Db } from '../store/db.ts'
import { ensurePersonalTeam } from '../store/people.ts'
import { readSettings } from '../store/settings.ts'
import { hashToken, randomText, signCookie } from './tokens.ts'
import { sessionCookie } from './caller.ts'

export interface Provider {
  id: 'github' | 'google'
  name: string
  clientId: string
  clientSecret: string
}

export interface AuthDeps {
  db: Db
  authSecret: string
  publicUrl: string
  origins: readonly string[]
  providers: readonly Provider[]
  log: Log
}

export const passwordLength = { min: 12, max: 128 }
const sessionDays = 30

/**
 * The auth library on our own tables: sign-up, sign-in, sign-out and OAuth under `/api/auth/`. Callers of our own API are
 * found by caller.ts in the same tables, with one query.
 */
export function createAuth(deps: AuthDeps): Pick<Auth, 'handler'> {
  const { db, log } = deps
  return betterAuth({
    appName: 'Slopbox',
    baseURL: deps.publicUrl,
    basePath: '/api/auth',
    secret: deps.authSecret,
    trustedOrigins: [...deps.origins],
    database: { db, type: 'postgres', transaction: true },
    telemetry: { enabled: false },
    logger: { level: 'warn', log: (level, message) => log[level]({ from: 'better-auth' }, message) },
    onAPIError: {
      errorURL: `${deps.publicUrl}/sign-in`,
      // Heard here, so that the library does not print what people mistyped to its own console.
      onError: (error) => noteFailure(log, error),
    },
    emailAndPassword: {
      enabled: true,
      minPasswordLength: passwordLength.min,
      maxPasswordLength: passwordLength.max,
    },
    socialProviders: Object.fromEntries(
      deps.providers.map(({ id, clientId, clientSecret }) => [id, { clientId, clientSecret }]),
    ),
    rateLimit: {
      enabled: true,
      window: 60,
      max: 120,
      customRules: {
        '/sign-in/*': { window: 60, max: 30 },
        '/sign-up/*': { window: 60, max: 10 },
        '/get-session': false,
      },
    },
    ...tables,
    session: { ...tables.session, expiresIn: sessionDays * 86_400, updateAge: 86_400 },
    account: { ...tables.account, encryptOAuthTokens: true, accountLinking: { disableImplicitLinking: true } },
    advanced: {
      cookiePrefix: 'slopbox',
      // Whether a cookie is `Secure` depends on how the request came in, not on the public URL: see `markSecure`.
      useSecureCookies: false,
      defaultCookieAttributes: { httpOnly: true, sameSite: 'lax', path: '/' },
      database: { generateId: ({ model }) => newId(idKinds[model] ?? 'verification') },
    },
    databaseHooks: {
      user: {
        create: {
          before: async () => {
            if ((await readSettings(db)).signUp) return
            throw new APIError('FORBIDDEN', { code: 'SIGN_UP_OFF', message: 'Sign-up is off; ask an operator.' })
          },
          after: async (user) => void (await ensurePersonalTeam(db, user)),
        },
      },
    },
    hooks: { before: slowDownGuessing() },
  })
}

/** A fresh session's `Set-Cookie` value, as the library itself would write it. */
export async function startSession(
  deps: { db: Db; authSecret: string },
  userId: string,
  client: { userAgent: string | null; address: string | null },
): Promise<string> {
  const token = randomText(32)
  const maxAge = sessionDays * 86_400
  await deps.db
    .insertInto('sessions')
    .values({
      id: newId('session'),
      user_id: userId,
      token,
      expires_at: new Date(Date.now() + maxAge * 1000),
      ip_address: client.address?.slice(0, 64) ?? null,
      user_agent: client.userAgent?.slice(0, 500) ?? null,
    })
    .execute()
  return `${sessionCookie}=${signCookie(token, deps.authSecret)}; Max-Age=${maxAge}; Path=/; HttpOnly; SameSite=Lax`
}

/**
 * Adds `Secure` when the gateway received the request over TLS. Plain http remains usable on one's own machine, where
 * the same installation answers both.
 */
export function markSecure(cookie: string, forwardedProto: string | null): string {
  return forwardedProto === 'https' && !/;\s*secure/i.test(cookie) ? `${cookie}; Secure` : cookie
}

function noteFailure(log: Log, error: unknown): void {
  if (error instanceof APIError) log.debug({ from: 'better-auth', status: error.status }, 'refused')
  else log.error({ from: 'better-auth', failure: describeFailure(error) }, 'sign-in failed on our side')
}

/** Whatever addresses the guesses come from, one account hears at most ten in a row and then one in six seconds. */
function slowDownGuessing(): ReturnType<typeof createAuthMiddleware> {
  const accounts = tokenBuckets({ burst: 10, perSecond: 1 / 6, maxKeys: 10_000, now: () => performance.now() })
  return createAuthMiddleware(async (context) => {
    if (context.path !== '/sign-in/email') return
    const { email } = context.body as { email?: unknown }
    if (typeof email !== 'string' || accounts.take(hashToken(email.toLowerCase())) === 0) return
    throw new APIError('TOO_MANY_REQUESTS', { message: 'Too many attempts for this account; wait a minute.' })
  })
}

const idKinds: Readonly<Record<string, IdKind>> = {
  user: 'user',
  session: 'session',
  account: 'account',
  verification: 'verification',
}

const tables = {
  user: {
    modelName: 'users',
    fields: { emailVerified: 'email_verified', createdAt: 'created_at', updatedAt: 'updated_at' },
    additionalFields: { role: { type: 'string', input: false, required: false } },
  },
  session: {
    modelName: 'sessions',
    fields: {
      userId: 'user_id',
      expiresAt: 'expires_at',
      ipAddress: 'ip_address',
      userAgent: 'user_agent',
      createdAt: 'created_at',
      updatedAt: 'updated_at',
    },
  },
  account: {
    modelName: 'accounts',
    fields: {
      userId: 'user_id',
      accountId: 'account_id',
      providerId: 'provider_id',
      accessToken: 'access_token',
      refreshToken: 'refresh_token',
      idToken: 'id_token',
      accessTokenExpiresAt: 'access_token_expires_at',
      refreshTokenExpiresAt: 'refresh_token_expires_at',
      createdAt: 'created_at',
      updatedAt: 'updated_at',
    },
  },
  verification: {
    modelName: 'verifications',
    fields: { expiresAt: 'expires_at', createdAt: 'created_at', updatedAt: 'updated_at' },
  },
} as const
