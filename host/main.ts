import { mkdirSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '../lib/config.ts'
import { readCredential } from '../lib/credentials.ts'
import { announceReady, endOnFault, untilStopped } from '../lib/lifecycle.ts'
import { createLog, type Log } from '../lib/log.ts'
import { loop, type Loop } from '../lib/loop.ts'
import { HostConfig } from './config.ts'
import { Commands } from './commands.ts'
import type { Driver } from './driver.ts'
import { fakeDriver } from './drivers/fake.ts'
import { ociDriver } from './drivers/oci/driver.ts'
import { openIdentity } from './identity.ts'
import { openKnownRegistries } from './known-registries.ts'
import { readCapacity, readMachineRegistries } from './machine.ts'
import { UntoldReadings } from './readings.ts'
import { Reconciler } from './reconcile.ts'
import { openRecords } from './records.ts'
import type { Registries } from './registries.ts'
import { startSync, type HostReport, type Sync } from './sync.ts'
import { createTemplates } from './templates.ts'
import { keepTunnel, serveStreams } from './tunnel.ts'
import { createUsage } from './usage.ts'

export interface HostDeps {
  driver: Driver
  /** Directory for what this process itself keeps. */
  dataDirectory: string
  registries: () => Promise<Registries>
  control: { socketPath: string; token: string }
  gateway: { socketPath: string; token: string }
  name: string
  version: string
  log: Log
  now?: () => number
  random?: () => number
}

/** A crash of a start command is noticed at most this late; everything else wakes the loop. */
const roundMs = 2_000
const usageMs = 10_000
/** Readings wait so long for news that go with them. */
const usagePatienceMs = 1_000

/** What the loops work on; none of it runs by itself yet. */
async function makeParts(deps: Required<HostDeps>, onChange: (withinMs?: number) => void, wake: () => void) {
  const { driver, log, now, dataDirectory } = deps
  const within = (name: string): string => join(dataDirectory, name)
  mkdirSync(dataDirectory, { recursive: true })
  const capacity = await readCapacity(dataDirectory)
  const registries = await openKnownRegistries({
    path: within('registries.json'),
    read: deps.registries,
    onChange,
    log,
  })
  const usage = createUsage({ driver, directory: within('usage'), now, log, onChange: () => onChange(usagePatienceMs) })
  const templates = createTemplates({
    driver,
    directory: within('templates'),
    registries: () => registries.refresh(),
    now,
    log,
    onChange,
    wake,
  })
  await templates.cleanUp()
  const records = openRecords(within('records'), (id, error) =>
    log.warn({ sandboxId: id, err: error }, 'record is unreadable: the sandbox is started anew'),
  )
  const reconciler = new Reconciler({ driver, templates, records, usage, now, log, onChange, wake })
  const untold = new UntoldReadings()
  const report = (): HostReport => ({
    name: deps.name,
    version: deps.version,
    drivers: [{ name: driver.name, isolations: [...driver.isolations] }],
    capacity,
    registries: [...registries.current().hosts],
    sandboxes: reconciler.observed(),
    templates: templates.observed(),
    readings: untold.select(usage.readings()),
  })
  return { identity: openIdentity(within('host-id')), usage, templates, reconciler, untold, report }
}

/** Runs the host until it is disposed; sandboxes go on running after that. */
export async function startHost(init: HostDeps): Promise<AsyncDisposable> {
  const deps: Required<HostDeps> = { now: Date.now, random: Math.random, ...init }
  const { driver, log, random } = deps
  const running: { sync?: Sync; rounds?: Loop } = {}
  const { identity, usage, templates, reconciler, untold, report } = await makeParts(
    deps,
    (withinMs) => running.sync?.changed(withinMs),
    () => running.rounds?.wake(),
  )
  await using starting = new AsyncDisposableStack()
  starting.use(templates)
  starting.use(reconciler)
  const tick = async (): Promise<void> => {
    templates.tick()
    await reconciler.tick()
  }
  const onError = (error: unknown): void => log.error({ err: error }, 'round broke off')
  running.rounds = starting.use(loop({ everyMs: roundMs, tick, onError }))
  starting.use(loop({ everyMs: usageMs, tick: () => usage.sampleAll(), onError }))
  running.sync = starting.use(
    startSync({
      client: deps.control,
      report,
      apply(reply) {
        identity.set(reply.hostId)
        templates.setDesired(reply.templates)
        reconciler.setDesired(reply.sandboxes)
      },
      accepted({ readings }) {
        untold.accepted(readings)
        usage.accepted((reading) => untold.has(reading))
      },
      onAway: () => untold.forget(),
      hasSandboxes: () => reconciler.wanted() > 0,
      log,
      random,
    }),
  )
  const hostId = (signal: AbortSignal): Promise<string> => identity.known(signal)
  const commands = starting.use(new Commands({ driver, log }))
  const handler = serveStreams({ driver, commands, log })
  starting.use(keepTunnel({ ...deps.gateway, hostId, handler, log, random }))
  const stack = starting.move()
  return {
    async [Symbol.asyncDispose]() {
      // The last readings of this life go to the disk; the next one reports them.
      await usage.sampleAll().catch(onError)
      await stack.disposeAsync()
    },
  }
}

async function makeDriver(config: HostConfig, log: Log): Promise<Driver & Partial<AsyncDisposable>> {
  const dataDir = join(config.SLOPBOX_HOST_DATA, config.SLOPBOX_DRIVER)
  switch (config.SLOPBOX_DRIVER) {
    case 'oci':
      return await ociDriver({
        instance: config.SLOPBOX_INSTANCE,
        subnet: config.SLOPBOX_SUBNET,
        ports: {
          http: config.SLOPBOX_EGRESS_HTTP_PORT,
          tls: config.SLOPBOX_EGRESS_TLS_PORT,
          proxy: config.SLOPBOX_EGRESS_PROXY_PORT,
          dns: config.SLOPBOX_EGRESS_DNS_PORT,
        },
        networkFile: config.SLOPBOX_NETWORK_FILE,
        runtime: config.SLOPBOX_OCI_RUNTIME,
        dataDir,
        egressCaFile: config.SLOPBOX_EGRESS_CA_FILE,
        log,
      })
    case 'fake':
      return fakeDriver()
  }
}

function readVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  const { version } = JSON.parse(text) as { version: string }
  return version
}

if (import.meta.main) {
  endOnFault()
  const config = readConfig(HostConfig, process.env)
  const log = createLog('host', config.SLOPBOX_LOG_LEVEL)
  await using stack = new AsyncDisposableStack()
  const driver = await makeDriver(config, log)
  stack.defer(async () => driver[Symbol.asyncDispose]?.())
  stack.use(
    await startHost({
      driver,
      dataDirectory: config.SLOPBOX_HOST_DATA,
      registries: () => readMachineRegistries(process.env, log),
      control: {
        socketPath: config.SLOPBOX_CONTROL_SOCKET,
        token: readCredential(config.SLOPBOX_CREDENTIALS, 'control.token'),
      },
      gateway: {
        socketPath: config.SLOPBOX_GATEWAY_SOCKET,
        token: readCredential(config.SLOPBOX_CREDENTIALS, 'gateway.token'),
      },
      name: hostname(),
      version: readVersion(),
      log,
    }),
  )
  announceReady(config.SLOPBOX_READY_FD)
  log.info({ driver: driver.name }, 'serving')
  await untilStopped()
}
