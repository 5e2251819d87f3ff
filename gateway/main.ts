import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AuditRecord } from '../contract/egress.ts'
import type { Meter } from '../contract/usage.ts'
import { readConfig } from '../lib/config.ts'
import { openCounters } from '../lib/counters.ts'
import { readCredential } from '../lib/credentials.ts'
import { announceReady, endOnFault, untilStopped } from '../lib/lifecycle.ts'
import { createLog } from '../lib/log.ts'
import type { Log } from '../lib/log.ts'
import { loop } from '../lib/loop.ts'
import type { SocketClient } from '../lib/socket-client.ts'
import { openSpool } from '../lib/spool.ts'
import { auditor } from './audit.ts'
import { authorizer } from './authorize.ts'
import { namesOf, serverCertificate } from './certificates.ts'
import { GatewayConfig } from './config.ts'
import { controlPass } from './control-pass.ts'
import { byteMeter, dialler } from './dial.ts'
import { dispatch, dispatchUpgrade } from './dispatch.ts'
import type { DispatchDeps } from './dispatch.ts'
import { Grants } from './grants.ts'
import { handover } from './handover.ts'
import { listen } from './listener.ts'
import type { Listener, ListenerDeps } from './listener.ts'
import { sendError } from './pages.ts'
import { defaultRates, rateLimiter } from './rate-limit.ts'
import type { Rates } from './rate-limit.ts'
import { splitDomain } from './route.ts'
import { hostKey } from './ssh/host-key.ts'
import { listenSsh } from './ssh/server.ts'
import type { SshListener } from './ssh/server.ts'
import { startSync } from './sync.ts'
import { listenInternal, Tunnels } from './tunnels.ts'
import { openVisit } from './visit.ts'

export interface GatewayDeps {
  control: SocketClient
  /** Path of the private socket for hosts and control. */
  socketPath: string
  dataDir: string
  /** Public name, with the port when it is not the default one. */
  domain: string
  addresses: readonly { host: string; port: number }[]
  /** Where SSH is served; empty: nowhere. */
  sshAddresses: readonly { host: string; port: number }[]
  consoleDir: string
  /** PEM of the local authority and of its key. */
  authority: string
  authorityKey: string
  cookieKey: Buffer
  /** What hosts and control must present on the private socket. */
  hostToken: string
  controlToken: string
  rates: Rates
  /** How long what is open may go on while control is away. */
  graceMs: number
  /** How long a request waits for a host that is not connected just now. */
  tunnelPatienceMs: number
  log: Log
}

export interface Gateway extends AsyncDisposable {
  /** Ports it listens on, in the order of the addresses. */
  ports: readonly number[]
  /** The same of SSH. */
  sshPorts: readonly number[]
}

const version = '0.1.0'
const renewCheckMs = 12 * 3600 * 1000
/** How soon control hears of new grants and denials, and of bytes. */
const newsMs = 50
const bytesMs = 2_000

export async function startGateway(deps: GatewayDeps): Promise<Gateway> {
  await using stack = new AsyncDisposableStack()
  mkdirSync(deps.dataDir, { recursive: true, mode: 0o700 })
  const { log } = deps
  const counters = stack.use(openCounters<Meter>(join(deps.dataDir, 'counters')))
  const spool = stack.use(openSpool<AuditRecord>(join(deps.dataDir, 'audit')))
  const grants = new Grants(() => sync.wake(newsMs))
  const sync = stack.use(
    startSync({ control: deps.control, grants, counters, audit: spool, log, version, graceMs: deps.graceMs }),
  )
  const tunnels = stack.use(new Tunnels(log, deps.tunnelPatienceMs))
  const dial = dialler(tunnels.open, (sandboxId) => byteMeter(counters, () => sync.wake(bytesMs), sandboxId))
  const internal = { socketPath: deps.socketPath, hostToken: deps.hostToken, controlToken: deps.controlToken }
  stack.use(await listenInternal({ ...internal, tunnels, dialler: dial, log }))

  const { name, port } = splitDomain(deps.domain)
  const ports: number[] = port === null ? [] : [port]
  const dispatchDeps: DispatchDeps = {
    domain: deps.domain,
    table: { domain: name, ports },
    consoleDir: deps.consoleDir,
    control: stack.use(controlPass(deps.control.socketPath)),
    authorizer: authorizer({ control: deps.control, grants, listening: () => sync.listening() }),
    handover: handover(deps.cookieKey, Date.now),
    grants,
    dialler: dial,
    audit: auditor(spool, () => sync.wake(newsMs)),
    limiter: rateLimiter(deps.rates, () => performance.now()),
    log,
  }
  const certificate = () =>
    serverCertificate({
      directory: deps.dataDir,
      authority: deps.authority,
      authorityKey: deps.authorityKey,
      names: namesOf(name),
      now: () => new Date(),
    })
  const listener = stack.use(
    await listen({ addresses: deps.addresses, certificate: await certificate(), log, ...handlers(dispatchDeps) }),
  )
  ports.push(...listener.ports)
  stack.use(renewal(listener, certificate, log))
  const ssh = stack.use(await serveSsh(deps, dispatchDeps))
  const kept = stack.move()
  return { ports: listener.ports, sshPorts: ssh.ports, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

function serveSsh(deps: GatewayDeps, shared: DispatchDeps): Promise<SshListener> {
  // Without an address no key is made either.
  const key = deps.sshAddresses.length === 0 ? '' : hostKey(deps.dataDir)
  const { authorizer: asked, grants, dialler: dial, log } = shared
  return listenSsh({ addresses: deps.sshAddresses, hostKey: key, authorizer: asked, grants, dialler: dial, log })
}

/** Each request passes the strict gate before anything else looks at it. */
function handlers(deps: DispatchDeps): Pick<ListenerDeps, 'onRequest' | 'onUpgrade'> {
  return {
    onRequest: (secure) => (request, response) => {
      try {
        void dispatch(deps, openVisit(request, secure, response), response)
      } catch (error) {
        sendError(response, error, { requestId: null, html: false, log: deps.log })
      }
    },
    onUpgrade: (secure) => (request, socket, head) => {
      socket.on('error', () => socket.destroy())
      // Parser, TLS and the joining of two streams each listen; that is a dozen, not a leak.
      socket.setMaxListeners(30)
      try {
        void dispatchUpgrade(deps, openVisit(request, secure, socket), socket, head)
      } catch {
        // What the gate refuses is answered without a word about what it was.
        socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
      }
    },
  }
}

function renewal(
  listener: Listener,
  certificate: () => ReturnType<typeof serverCertificate>,
  log: Log,
): AsyncDisposable {
  return loop({
    everyMs: renewCheckMs,
    tick: async () => listener.renew(await certificate()),
    onError: (error) => log.error({ err: error }, 'could not renew the TLS certificate'),
  })
}

function fromConfig(config: GatewayConfig): GatewayDeps {
  const credential = (name: string): string => readCredential(config.SLOPBOX_CREDENTIALS, name)
  return {
    control: { socketPath: config.SLOPBOX_CONTROL_SOCKET, token: credential('control.token') },
    socketPath: config.SLOPBOX_GATEWAY_SOCKET,
    dataDir: config.SLOPBOX_GATEWAY_DATA,
    domain: config.SLOPBOX_DOMAIN,
    addresses: config.SLOPBOX_LISTEN,
    sshAddresses: config.SLOPBOX_SSH_LISTEN,
    consoleDir: config.SLOPBOX_CONSOLE_DIR,
    authority: readFileSync(config.SLOPBOX_GATEWAY_CA_FILE, 'utf8'),
    authorityKey: credential('tls-ca.key'),
    cookieKey: Buffer.from(credential('cookie.key')),
    hostToken: credential('host.token'),
    controlToken: credential('control-internal.token'),
    rates: defaultRates,
    graceMs: 60_000,
    tunnelPatienceMs: 5_000,
    log: createLog('gateway', config.SLOPBOX_LOG_LEVEL),
  }
}

if (import.meta.main) {
  endOnFault()
  const config = readConfig(GatewayConfig, process.env)
  await using _gateway = await startGateway(fromConfig(config))
  announceReady(config.SLOPBOX_READY_FD)
  await untilStopped()
}
