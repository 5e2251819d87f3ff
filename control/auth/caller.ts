import type { IncomingHttpHeaders } from 'node:http'
import { SlopboxError } from '../../contract/errors.ts'
import type { Authenticate } from '../../lib/mount.ts'
import type { Db } from '../store/db.ts'
import {
  findCallerByKey,
  findCallerBySession,
  findCallerByToken,
  findCallerByUser,
  touchKey,
} from '../store/callers.ts'
import type { CallerRow } from '../store/callers.ts'
import { ensurePersonalTeam } from '../store/people.ts'
import { hashToken, isApiKey, readSignedCookie } from './tokens.ts'

/** Who asks, and for which team. Every store function that lists or finds takes the team from here. */
export interface Caller {
  user: { id: string; email: string; name: string; role: 'user' | 'operator'; createdAt: Date }
  team: { id: string; name: string; personal: boolean; role: 'owner' | 'admin' | 'member' }
  /** Set when a session cookie was used. */
  sessionId: string | null
  /** Set when an API key was used; a service key may be acting for `user`. */
  key: { id: string; name: string; service: boolean } | null
  /** The key that acted, for the audit trail; null: the user himself. */
  actor: string | null
}

export interface Credentials {
  cookie?: string | undefined
  authorization?: string | undefined
  apiKey?: string | undefined
  /** `X-User-Id`: the user a service key acts for. */
  userId?: string | undefined
}

export interface Callers {
  /** For the app: credentials from the headers, the operation's access, and CSRF. */
  authenticate: Authenticate<Caller>
  /** Throws `unauthenticated`. */
  fromCredentials: (credentials: Credentials) => Promise<Caller>
  /** By id of a session: only for processes that keep a signed one. Throws `unauthenticated`. */
  fromSession: (sessionId: string) => Promise<Caller>
}

export const sessionCookie = 'slopbox.session_token'

export function createCallers(deps: { db: Db; authSecret: string; origins: readonly string[] }): Callers {
  const { db } = deps
  const fromSession = async (sessionId: string): Promise<Caller> => {
    const row = await findCallerBySession(db, sessionId)
    if (row === undefined) throw unauthenticated('the session has ended')
    return await toCaller(db, row)
  }
  const fromCredentials = async (given: Credentials): Promise<Caller> => {
    const key = given.apiKey ?? bearer(given.authorization)
    if (key !== undefined) return await fromKey(db, key, given.userId)
    if (given.userId !== undefined) throw new SlopboxError('forbidden', 'X-User-Id needs a service key')
    const token = readSignedCookie(given.cookie ?? '', sessionCookie, deps.authSecret)
    if (token === undefined) throw unauthenticated('no credentials')
    const row = await findCallerByToken(db, token)
    if (row === undefined) throw unauthenticated('the session has ended')
    return await toCaller(db, row)
  }
  return {
    fromCredentials,
    fromSession,
    async authenticate({ method, headers, access }) {
      const caller = await fromCredentials(credentialsOf(headers))
      if (caller.sessionId !== null && method !== 'GET') refuseForeignOrigin(headers, deps.origins)
      if (access === 'operator' && caller.user.role !== 'operator')
        throw new SlopboxError('forbidden', 'this is for operators')
      return caller
    },
  }
}

/** The caller as the audit trail names him. */
export function actorOf(caller: Caller): { userId: string; actor: string | null; teamId: string } {
  return { userId: caller.user.id, actor: caller.actor, teamId: caller.team.id }
}

async function fromKey(db: Db, key: string, userId: string | undefined): Promise<Caller> {
  const row = isApiKey(key) ? await findCallerByKey(db, hashToken(key)) : undefined
  if (row === undefined) throw unauthenticated('the API key is wrong, expired or revoked')
  await touchKey(db, row.key_id, row.key_last_used_at)
  const used = { id: row.key_id, name: row.key_name, service: row.key_service }
  const owner = await toCaller(db, row)
  if (userId === undefined) return { ...owner, key: used, actor: used.id }
  // A service key is worth what the operator who made it is worth today.
  if (!used.service || owner.user.role !== 'operator')
    throw new SlopboxError('forbidden', 'X-User-Id needs a service key made by an operator')
  const user = await findCallerByUser(db, userId)
  if (user === undefined) throw new SlopboxError('not_found', `no user ${userId.slice(0, 40)}`)
  return { ...(await toCaller(db, user)), key: used, actor: used.id }
}

async function toCaller(db: Db, row: CallerRow): Promise<Caller> {
  // A crash between the auth library's insert of a user and ours of his team leaves none; it is made here.
  const team =
    row.team_id === null || row.team_name === null || row.team_role === null
      ? await ensurePersonalTeam(db, { id: row.user_id, name: row.user_name })
      : { id: row.team_id, name: row.team_name, personal: row.team_personal, role: row.team_role }
  return {
    user: {
      id: row.user_id,
      email: row.user_email,
      name: row.user_name,
      role: row.user_role,
      createdAt: row.user_created_at,
    },
    team,
    sessionId: row.session_id,
    key: null,
    actor: null,
  }
}

/** Cookies travel with requests that other sites start (RFC 6265 §8.2), so a write by cookie must come from our own pages. */
function refuseForeignOrigin(headers: IncomingHttpHeaders, origins: readonly string[]): void {
  if (headers['sec-fetch-site'] === 'same-origin') return
  if (headers.origin !== undefined && origins.includes(headers.origin)) return
  throw new SlopboxError(
    'forbidden',
    `writes by cookie are not taken from origin ${String(headers.origin).slice(0, 200)}`,
    {
      hint: 'Open the console under its own address, or use an API key.',
    },
  )
}

function credentialsOf(headers: IncomingHttpHeaders): Credentials {
  const single = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value[0] : value)
  return {
    cookie: headers.cookie,
    authorization: headers.authorization,
    apiKey: single(headers['x-api-key']),
    userId: single(headers['x-user-id']),
  }
}

function bearer(authorization: string | undefined): string | undefined {
  if (authorization === undefined) return undefined
  const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1]
  if (token === undefined) throw unauthenticated('the Authorization header must be `Bearer` and an API key')
  return token
}

function unauthenticated(message: string): SlopboxError {
  return new SlopboxError('unauthenticated', message)
}
