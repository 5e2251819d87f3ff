import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AuditRecord } from '../contract/egress.ts'
import { syncEgress } from '../contract/sync.ts'
import type { Meter } from '../contract/usage.ts'
import { readConfig } from '../lib/config.ts'
import { openCounters } from '../lib/counters.ts'
import { readCredential } from '../lib/credentials.ts'
import { announceReady, endOnFault, untilStopped } from '../lib/lifecycle.ts'
import { createLog, type Log } from '../lib/log.ts'
import { callSocket } from '../lib/socket-client.ts'
import { openSpool } from '../lib/spool.ts'
import { EgressConfig } from './config.ts'
import { createDial, systemResolve, type DialGuardOptions, type Resolve } from './dial-guard.ts'
import { createFlows } from './flows.ts'
import { identifyFromFile } from './identify.ts'
import { createLeafs } from './leafs.ts'
import { listen, type ListenAt, type Listeners } from './listeners.ts'
import { createOpenSecret } from './open-secret.ts'
import { createPolicies } from './policies.ts'
import { defaultLimits, type Limits } from './services.ts'
import { refuseLaxParsing } from './startup-guard.ts'
import { createAudit } from './steps/audit.ts'
import { startSync, type CallControl, type Sync } from './sync.ts'
import { readMachineRoots, upstreamContext } from './trust-roots.ts'

export interface EgressDeps {
  dataDirectory: string
  networkFile: string
  listenAt: ListenAt
  callControl: CallControl
  masterKey: Buffer
  caPem: string
  caKeyPem: string
  /** PEM of the roots this machine trusts. */
  machineRoots: string
  log: Log
  resolve?: Resolve
  connect?: NonNullable<DialGuardOptions['connect']>
  limits?: Partial<Limits>
  reportEveryMs?: number
}

export interface Egress extends AsyncDisposable {
  ports: Listeners['ports']
}

export const version = '0.1.0'

/** Builds the gate and opens it. Denies everything until control has answered for the first time. */
export async function startEgress(deps: EgressDeps): Promise<Egress> {
  const { log } = deps
  const spool = openSpool<AuditRecord>(join(deps.dataDirectory, 'audit'))
  const counters = openCounters<Meter>(join(deps.dataDirectory, 'counters'))
  const policies = createPolicies(log)
  let sync: Sync | undefined
  const news = (): void => sync?.news()
  const audit = createAudit(spool, log, news)
  const flows = createFlows(policies, counters, audit, news)
  let context = upstreamContext(deps.machineRoots, '', deps.caPem)
  let extraRoots = ''
  policies.onChange(() => {
    if (policies.extraRoots === extraRoots) return
    extraRoots = policies.extraRoots
    try {
      context = upstreamContext(deps.machineRoots, extraRoots, deps.caPem)
    } catch (error) {
      // The roots before stay: fewer would break what works, and nothing unverified gets through either way.
      log.error({ err: error }, 'extra roots are unreadable')
    }
  })
  const services = {
    policies,
    identify: identifyFromFile(deps.networkFile, log),
    flows,
    audit,
    counters,
    dial: createDial({
      resolve: deps.resolve ?? systemResolve,
      allowed: () => policies.allowed,
      context: () => context,
      ...(deps.connect === undefined ? {} : { connect: deps.connect }),
    }),
    leafs: await createLeafs(deps.caPem, deps.caKeyPem),
    openSecret: createOpenSecret(deps.masterKey),
    log,
    limits: { ...defaultLimits, ...deps.limits },
  }
  const listeners = await listen(services, deps.listenAt)
  sync = startSync({
    call: deps.callControl,
    policies,
    flows,
    counters,
    spool,
    log,
    version,
    ...(deps.reportEveryMs === undefined ? {} : { reportEveryMs: deps.reportEveryMs }),
  })
  return {
    ports: listeners.ports,
    async [Symbol.asyncDispose]() {
      await listeners[Symbol.asyncDispose]()
      flows.close()
      await sync?.[Symbol.asyncDispose]()
      policies[Symbol.dispose]()
      counters[Symbol.dispose]()
      spool[Symbol.dispose]()
    },
  }
}

if (import.meta.main) {
  endOnFault()
  refuseLaxParsing(process.execArgv, process.env)
  const config = readConfig(EgressConfig, process.env)
  const log = createLog('egress', config.SLOPBOX_LOG_LEVEL)
  const credential = (name: string): string => readCredential(config.SLOPBOX_CREDENTIALS, name)
  const control = { socketPath: config.SLOPBOX_CONTROL_SOCKET, token: credential('control.token') }
  const [, address = '', port = ''] = /^(.+):(\d+)$/.exec(config.SLOPBOX_EGRESS_CENTRAL_LISTEN) ?? []
  await using egress = await startEgress({
    dataDirectory: config.SLOPBOX_EGRESS_DATA,
    networkFile: config.SLOPBOX_NETWORK_FILE,
    listenAt: {
      address: config.SLOPBOX_EGRESS_LISTEN,
      http: config.SLOPBOX_EGRESS_HTTP_PORT,
      tls: config.SLOPBOX_EGRESS_TLS_PORT,
      proxy: config.SLOPBOX_EGRESS_PROXY_PORT,
      dns: config.SLOPBOX_EGRESS_DNS_PORT,
      central: address === '' ? null : { address: address.replace(/^\[(.*)\]$/, '$1'), port: Number(port) },
    },
    callControl: (body, signal) => callSocket(control, syncEgress, { params: {}, query: {}, body }, signal),
    masterKey: Buffer.from(credential('master.key'), 'base64'),
    caPem: readFileSync(config.SLOPBOX_EGRESS_CA_FILE, 'utf8'),
    caKeyPem: credential('ca.key'),
    machineRoots: readMachineRoots(process.env['SSL_CERT_FILE']),
    log,
  })
  log.info({ ports: egress.ports }, 'serving')
  announceReady(config.SLOPBOX_READY_FD)
  await untilStopped()
}
