import { z } from 'zod'
import { KeyId, TeamId, UserId } from './ids.ts'
import { Done, Name, PageQuery, pageOf, Timestamp } from './page.ts'
import { route } from './route.ts'

export const User = z.object({
  id: UserId,
  email: z.email(),
  name: z.string(),
  role: z.enum(['user', 'operator']),
  createdAt: Timestamp,
})
export type User = z.infer<typeof User>
export const Team = z.object({
  id: TeamId,
  name: z.string(),
  personal: z.boolean(),
  role: z.enum(['owner', 'admin', 'member']),
})

/** Who the caller is. `key` is set when an API key was used; `actingFor` when a service key acts for a user. */
export const Me = z.object({
  user: User,
  team: Team,
  teams: z.array(Team),
  key: z.object({ id: KeyId, name: z.string(), service: z.boolean() }).nullable(),
})
export type Me = z.infer<typeof Me>
export const getMe = route({ id: 'me.get', method: 'GET', path: '/v1/me', summary: 'Who am I', reply: Me })

export const ApiKey = z.object({
  id: KeyId,
  name: z.string(),
  start: z.string().describe('First characters, to tell keys apart.'),
  service: z.boolean().describe('May act for a user with `X-User-Id`; operators only.'),
  createdAt: Timestamp,
  lastUsedAt: Timestamp.nullable(),
  expiresAt: Timestamp.nullable(),
})
export type ApiKey = z.infer<typeof ApiKey>
export const createKey = route({
  id: 'keys.create',
  method: 'POST',
  path: '/v1/keys',
  status: 201,
  summary: 'Create an API key; the key is in this answer only',
  body: z.strictObject({
    name: Name,
    service: z.boolean().default(false),
    expiresInDays: z.int().min(1).max(3650).nullable().default(null),
  }),
  reply: ApiKey.extend({ key: z.string() }),
  errors: ['forbidden'],
})
export const listKeys = route({
  id: 'keys.list',
  method: 'GET',
  path: '/v1/keys',
  summary: 'List API keys',
  query: PageQuery,
  reply: pageOf(ApiKey),
})
export const deleteKey = route({
  id: 'keys.delete',
  method: 'DELETE',
  path: '/v1/keys/:id',
  summary: 'Revoke an API key',
  params: z.strictObject({ id: KeyId }),
  reply: Done,
  errors: ['not_found'],
})

/** What the sign-in page may offer. Email sign-in, sign-up and sign-out themselves are the auth library's, under `/api/auth/`. */
export const AuthOptions = z.object({
  signUp: z.boolean(),
  providers: z.array(z.object({ id: z.string(), name: z.string() })),
})
export const getAuthOptions = route({
  id: 'auth.options',
  method: 'GET',
  path: '/v1/auth/options',
  access: 'public',
  summary: 'How one can sign in',
  reply: AuthOptions,
})
export const redeemSignInLink = route({
  id: 'auth.redeem',
  method: 'POST',
  path: '/v1/auth/redeem',
  access: 'public',
  summary: 'Trade a one-time sign-in link for a session cookie',
  body: z.strictObject({ token: z.string().min(20).max(200) }),
  reply: z.object({ user: User }),
  errors: ['not_found'],
})

export const adminCreateUser = route({
  id: 'admin.users.create',
  method: 'POST',
  path: '/v1/admin/users',
  status: 201,
  access: 'operator',
  summary: 'Create a user',
  body: z.strictObject({
    email: z.email(),
    name: z.string().trim().min(1).max(100),
    password: z.string().min(12).max(128),
    role: z.enum(['user', 'operator']).default('user'),
  }),
  reply: User.extend({ teamId: TeamId }),
  errors: ['conflict'],
})
export const adminListUsers = route({
  id: 'admin.users.list',
  method: 'GET',
  path: '/v1/admin/users',
  access: 'operator',
  summary: 'List users',
  query: PageQuery,
  reply: pageOf(User),
})

export const Settings = z.strictObject({
  signUp: z.boolean().describe('Anyone who reaches the console may make an account.'),
  allowedRanges: z
    .array(z.cidrv4().or(z.cidrv6()))
    .max(100)
    .describe('Reserved or private ranges that allowed hosts may resolve to, for example `10.1.2.0/24`.'),
  extraRoots: z.string().max(1_000_000).describe("PEM certificates trusted upstream beside the machine's own store."),
})
export type Settings = z.infer<typeof Settings>
export const getSettings = route({
  id: 'admin.settings.get',
  method: 'GET',
  path: '/v1/admin/settings',
  access: 'operator',
  summary: "Operator's settings",
  reply: Settings,
})
export const updateSettings = route({
  id: 'admin.settings.update',
  method: 'PATCH',
  path: '/v1/admin/settings',
  access: 'operator',
  summary: "Change the operator's settings; applied within a second",
  body: Settings.partial(),
  reply: Settings,
})
