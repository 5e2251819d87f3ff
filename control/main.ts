import { chmodSync, rmSync } from 'node:fs'
import { ConfigError, readConfig } from '../lib/config.ts'
import { readCredential } from '../lib/credentials.ts'
import { announceReady, endOnFault, untilStopped } from '../lib/lifecycle.ts'
import { createLog } from '../lib/log.ts'
import type { Log } from '../lib/log.ts'
import { loop } from '../lib/loop.ts'
import { createApp, mountFetch } from '../lib/mount.ts'
import type { App } from '../lib/mount.ts'
import { mountDocs } from './api/docs.ts'
import { mountEgress } from './api/egress.ts'
import { mountEvents } from './api/events.ts'
import { mountInternal } from './api/internal.ts'
import { mountPeople } from './api/people.ts'
import { mountSshKeys } from './api/ssh-keys.ts'
import { createCallers } from './auth/caller.ts'
import type { Caller } from './auth/caller.ts'
import type { InternalTokens } from './auth/internal.ts'
import { createAuth, markSecure } from './auth/library.ts'
import type { Provider } from './auth/library.ts'
import { trustedOrigins } from './auth/origins.ts'
import { ControlConfig } from './config.ts'
import { parseMasterKey } from './seal.ts'
import { explainDatabaseFault, migrate, openDatabase, removeExpired } from './store/db.ts'
import { idempotentReplies } from './store/idempotency.ts'
import { createWake } from './wake.ts'
import type { Wake } from './wake.ts'
import { wireAgents } from './wire-agents.ts'
import type { AgentsWiring } from './wire-agents.ts'

export interface ControlDeps extends Partial<Pick<AgentsWiring, 'clock' | 'dialSandbox'>> {
  databaseUrl: string
  publicUrl: string
  /** With its port. */
  domain: string
  /** Where machines elsewhere reach the forward proxy; null or absent: it is off. */
  proxyUrl?: string | null
  /** Unix socket to listen on; null: `app.server.inject` only. */
  socket: string | null
  gatewaySocket: string
  /** What control presents to the gateway's socket. */
  gatewayToken: string
  tokens: InternalTokens
  masterKey: Buffer
  authSecret: string
  providers: readonly Provider[]
  log: Log
}

export interface Control extends AsyncDisposable {
  app: App<Caller>
  wake: Wake
}

const version = '0.1.0'

export async function startControl(deps: ControlDeps): Promise<Control> {
  const { log, publicUrl, authSecret, masterKey } = deps
  await using starting = new AsyncDisposableStack()
  const database = starting.use(
    openDatabase(deps.databaseUrl, {
      onError: (error) => log.warn({ err: error.message }, 'database connection lost'),
    }),
  )
  await migrate(database)
  const { db } = database
  const wake = createWake()
  const origins = trustedOrigins(publicUrl)
  const callers = createCallers({ db, authSecret, origins })
  const replies = idempotentReplies<Caller>({
    db,
    masterKey,
    nameOf: (caller) => `${caller.team.id} ${caller.user.id}`,
  })
  const app = starting.use(
    createApp({ authenticate: callers.authenticate, replies, log, explain: explainDatabaseFault }),
  )

  const auth = createAuth({ db, authSecret, publicUrl, origins, providers: deps.providers, log })
  mountAuth(app, auth, { origin: publicUrl, wake })
  mountInternal(app, { db, tokens: deps.tokens, version })
  mountPeople(app, { db, authSecret, providers: deps.providers, wake })
  mountSshKeys(app, { db, wake })
  mountEgress(app, { db, masterKey, wake })
  mountDocs(app, { origin: publicUrl, version })
  mountEvents(app, { wake, fromSession: callers.fromSession })
  const gateway = { socketPath: deps.gatewaySocket, token: deps.gatewayToken }
  starting.use(await wireAgents(app, { ...deps, db, wake, callers, internalTokens: deps.tokens, gateway }))

  starting.use(
    loop({
      everyMs: 10 * 60_000,
      tick: () => removeExpired(db),
      onError: (error) => log.warn({ err: String(error) }, 'expired rows were not removed'),
    }),
  )
  await app.server.ready()
  if (deps.socket !== null) {
    // A socket left behind by a killed process would be taken for a running one. The supervisor starts one control only.
    rmSync(deps.socket, { force: true })
    await app.server.listen({ path: deps.socket })
    chmodSync(deps.socket, 0o660)
  }
  const running = starting.move()
  return { app, wake, [Symbol.asyncDispose]: () => running.disposeAsync() }
}

function mountAuth(
  app: App<Caller>,
  auth: ReturnType<typeof createAuth>,
  { origin, wake }: { origin: string; wake: Wake },
): void {
  mountFetch(app, { methods: ['GET', 'POST'], path: '/api/auth/*', origin }, async (request) => {
    const response = await auth.handler(request)
    // A session may have ended, and with it what it holds open at the gateway.
    if (request.method === 'POST') wake.gateway()
    const headers = new Headers(response.headers)
    headers.delete('set-cookie')
    const proto = request.headers.get('x-forwarded-proto')
    for (const cookie of response.headers.getSetCookie()) headers.append('set-cookie', markSecure(cookie, proto))
    return new Response(response.body, { status: response.status, headers })
  })
}

/** The pairs that are complete; half a pair is a mistake worth stopping for. */
function providersOf(config: ControlConfig): Provider[] {
  const known = [
    { id: 'github', name: 'GitHub', pair: [config.SLOPBOX_GITHUB_CLIENT_ID, config.SLOPBOX_GITHUB_CLIENT_SECRET] },
    { id: 'google', name: 'Google', pair: [config.SLOPBOX_GOOGLE_CLIENT_ID, config.SLOPBOX_GOOGLE_CLIENT_SECRET] },
  ] as const
  return known.flatMap(({ id, name, pair: [clientId, clientSecret] }) => {
    if (clientId === undefined && clientSecret === undefined) return []
    if (clientId === undefined || clientSecret === undefined)
      throw new ConfigError(`${name} needs both its client id and its client secret`)
    return [{ id, name, clientId, clientSecret }]
  })
}

if (import.meta.main) {
  endOnFault()
  const config = readConfig(ControlConfig, process.env)
  const credential = (name: string): string => readCredential(config.SLOPBOX_CREDENTIALS, name)
  const log = createLog('control', config.SLOPBOX_LOG_LEVEL)
  // Only the group of this installation's processes may open the socket, from its first moment.
  process.umask(0o117)
  await using _control = await startControl({
    databaseUrl: config.SLOPBOX_DATABASE_URL,
    publicUrl: config.SLOPBOX_PUBLIC_URL,
    domain: config.SLOPBOX_DOMAIN,
    proxyUrl: config.SLOPBOX_EGRESS_CENTRAL_URL ?? null,
    socket: config.SLOPBOX_CONTROL_SOCKET,
    gatewaySocket: config.SLOPBOX_GATEWAY_SOCKET,
    gatewayToken: credential('gateway-internal.token'),
    tokens: {
      host: credential('host.token'),
      egress: credential('egress.token'),
      gateway: credential('gateway.token'),
      operator: credential('operator.token'),
    },
    masterKey: parseMasterKey(credential('master.key')),
    authSecret: credential('auth.secret'),
    providers: providersOf(config),
    log,
  })
  announceReady(config.SLOPBOX_READY_FD ?? null)
  log.info({ socket: config.SLOPBOX_CONTROL_SOCKET }, 'serving')
  await untilStopped()
}
