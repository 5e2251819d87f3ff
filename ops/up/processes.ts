import { join } from 'node:path'
import type { Places } from '../paths.ts'
import { group, type SystemUser } from '../setup/users.ts'
import type { Installation } from '../setup/installation.ts'
import { databaseUrl, postgresArguments, postgresReady } from '../setup/postgres.ts'
import type { ChildSpec } from '../supervise/child.ts'
import { confinedCommand, type Confinement } from '../supervise/command.ts'
import type { UpSettings } from './settings.ts'
import { portOf } from './where.ts'
import { proxyUrl } from './where.ts'

/** What the processes are told about this installation, this machine and the operator's wishes. */
export interface Situation {
  places: Places
  installation: Installation
  settings: UpSettings
  /** Directory of the clone on this machine. */
  clone: string
  publicUrl: string
  domain: string
}

const pinnedNode = (app: string): string => join(app, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node')

/** Small heaps grow when they must; these only stop V8 from reserving for a server that has the machine to itself. */
const nodeOptions = ['--max-semi-space-size=2', '--disable-warning=ExperimentalWarning']

export function confinementOf(situation: Situation, name: string, user: SystemUser | null): Confinement {
  const { places } = situation
  return {
    user,
    group,
    clone: situation.clone,
    app: places.app,
    binds: [{ from: places.part(name), to: places.own(name) }],
    capabilities: needsLowPort(situation.installation, name) ? ['net_bind_service'] : [],
    onOrphan: name === 'db' ? 'INT' : 'KILL',
  }
}

function needsLowPort({ port, egressListen, sshListen }: Installation, name: string): boolean {
  if (name === 'gateway') return port < 1024 || (sshListen !== null && sshListen !== 'off' && portOf(sshListen) < 1024)
  return name === 'egress' && egressListen !== null && Number(/\d+$/.exec(egressListen)?.[0]) < 1024
}

/** Everything `up` starts, in the order of starting; those of one group do not wait for one another. */
export function processGroups(situation: Situation): ChildSpec[][] {
  const database = situation.settings.databaseUrl === null ? [[databaseSpec(situation)]] : []
  return [...database, [control(situation)], [egress(situation), host(situation), gateway(situation)]]
}

function databaseSpec(situation: Situation): ChildSpec {
  const { places } = situation
  let pid: number | null = null
  const argv = confinedCommand(confinementOf(situation, 'db', 'slopbox-db'), postgresArguments(places))
  return {
    name: 'database',
    argv,
    env: { PATH: path, LC_ALL: 'C' },
    logFile: join(places.logs, 'database.log'),
    onPid: (started) => {
      pid = started
    },
    ready: () => Promise.resolve(postgresReady(places, pid)),
    readyTimeoutMs: 60_000,
    // Fast shutdown: open transactions end, everything is written.
    stopSignal: 'SIGINT',
    stopTimeoutMs: 20_000,
    oomScoreAdj: -500,
  }
}

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

function service(
  situation: Situation,
  name: 'control' | 'host' | 'egress' | 'gateway',
  user: SystemUser | null,
  env: Record<string, string>,
): ChildSpec {
  const { places, settings } = situation
  const argv = [pinnedNode(places.app), ...nodeOptions, join(places.app, name, 'main.ts')]
  return {
    name,
    argv: confinedCommand(confinementOf(situation, name, user), argv),
    env: {
      PATH: path,
      LANG: 'C.UTF-8',
      NODE_ENV: 'production',
      // Stripped and compiled code is kept between starts: a third of the start, and memory of the compiler saved.
      NODE_COMPILE_CACHE: join(places.own(name), 'compile-cache'),
      ...settings.machine,
      SLOPBOX_LOG_LEVEL: settings.logLevel,
      SLOPBOX_CREDENTIALS: join(places.own(name), 'credentials'),
      SLOPBOX_CONTROL_SOCKET: places.sockets.control,
      ...env,
    },
    logFile: join(places.logs, `${name}.log`),
    ready: 'line',
    readyTimeoutMs: 60_000,
    stopSignal: 'SIGTERM',
    stopTimeoutMs: 15_000,
    // Sandboxes are children of the host process and must not inherit protection from it.
    oomScoreAdj: name === 'host' ? 0 : -200,
  }
}

function control(situation: Situation): ChildSpec {
  const { places, settings } = situation
  const proxy = proxyUrl(situation.installation, settings)
  return service(situation, 'control', 'slopbox-control', {
    SLOPBOX_DATABASE_URL: settings.databaseUrl ?? databaseUrl(places),
    SLOPBOX_PUBLIC_URL: situation.publicUrl,
    SLOPBOX_DOMAIN: situation.domain,
    SLOPBOX_GATEWAY_SOCKET: places.sockets.gateway,
    ...(proxy === null ? {} : { SLOPBOX_EGRESS_CENTRAL_URL: proxy }),
    ...settings.oauth,
  })
}

function egressPorts({ egressPorts: ports }: Installation): Record<string, string> {
  return {
    SLOPBOX_EGRESS_HTTP_PORT: String(ports.http),
    SLOPBOX_EGRESS_TLS_PORT: String(ports.tls),
    SLOPBOX_EGRESS_PROXY_PORT: String(ports.proxy),
    SLOPBOX_EGRESS_DNS_PORT: String(ports.dns),
  }
}

function host(situation: Situation): ChildSpec {
  const { places, installation, settings } = situation
  return service(situation, 'host', null, {
    SLOPBOX_GATEWAY_SOCKET: places.sockets.gateway,
    SLOPBOX_HOST_DATA: places.own('host'),
    SLOPBOX_NETWORK_FILE: places.network,
    SLOPBOX_EGRESS_CA_FILE: places.interceptionCa,
    ...egressPorts(installation),
    SLOPBOX_INSTANCE: installation.instance,
    SLOPBOX_SUBNET: installation.subnet,
    SLOPBOX_DRIVER: settings.driver,
    SLOPBOX_OCI_RUNTIME: settings.ociRuntime,
  })
}

function egress(situation: Situation): ChildSpec {
  const { places, installation } = situation
  return service(situation, 'egress', 'slopbox-egress', {
    SLOPBOX_EGRESS_DATA: places.own('egress'),
    SLOPBOX_NETWORK_FILE: places.network,
    SLOPBOX_EGRESS_CA_FILE: places.interceptionCa,
    ...egressPorts(installation),
    ...(installation.egressListen === null ? {} : { SLOPBOX_EGRESS_CENTRAL_LISTEN: installation.egressListen }),
  })
}

function gateway(situation: Situation): ChildSpec {
  const { places, installation } = situation
  return service(situation, 'gateway', 'slopbox-gateway', {
    SLOPBOX_GATEWAY_SOCKET: places.sockets.gateway,
    SLOPBOX_GATEWAY_DATA: places.own('gateway'),
    SLOPBOX_DOMAIN: situation.domain,
    SLOPBOX_LISTEN: installation.listen.map((address) => listenEntry(address, installation.port)).join(','),
    SLOPBOX_SSH_LISTEN: installation.sshListen === 'off' ? '' : (installation.sshListen ?? ''),
    SLOPBOX_CONSOLE_DIR: join(places.app, 'console', 'dist'),
    SLOPBOX_GATEWAY_CA_FILE: places.localCa,
  })
}

export function listenEntry(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
