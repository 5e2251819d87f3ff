import { mkdirSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import packageJson from '../package.json' with { type: 'json' }
import { readConfig } from '../lib/config.ts'
import { readCredential } from '../lib/credentials.ts'
import { announceReady, untilStopped } from '../lib/lifecycle.ts'
import { createLog, type Log } from '../lib/log.ts'
import { loop } from '../lib/loop.ts'
import { HostConfig } from './config.ts'
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

/** Runs the host until it is disposed; sandboxes go on running after that. */
export async function startHost(deps: HostDeps): Promise<AsyncDisposable> {
  const { driver, log, dataDirectory } = deps
  const now = deps.now ?? Date.now
  const random = deps.random ?? Math.random
  mkdirSync(dataDirectory, { recursive: true })
  const identity = openIdentity(join(dataDirectory, 'host-id'))
  const untold = new UntoldReadings()
  const parts: { sync?: Sync; wake?: () => void } = {}
  const onChange = (): void => parts.sync?.changed()
  const wake = (): void => parts.wake?.()

  const capacity = await readCapacity(dataDirectory)
  const registries = await openKnownRegistries({
    path: join(dataDirectory, 'registries.json'),
    read: deps.registries,
    onChange,
    log,
  })
  const usage = createUsage({ driver, directory: join(dataDirectory, 'usage'), now, log, onChange })
  const templates = createTemplates({
    driver,
    directory: join(dataDirectory, 'templates'),
    registries: () => registries.refresh(),
    now,
    log,
    onChange,
    wake,
  })
  await templates.cleanUp()
  const records = openRecords(join(dataDirectory, 'records'), (id, error) =>
    log.warn({ sandboxId: id, err: error }, 'record is unreadable: the sandbox is started anew'),
  )
  const reconciler = new Reconciler({ driver, templates, records, usage, now, log, onChange, wake })

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

  await using stack = new AsyncDisposableStack()
  stack.use(templates)
  stack.use(reconciler)
  const rounds = stack.use(
    loop({
      everyMs: roundMs,
      tick: async () => {
        templates.tick()
        await reconciler.tick()
      },
      onError: (error) => log.error({ err: error }, 'round broke off'),
    }),
  )
  parts.wake = () => rounds.wake()
  stack.use(
    loop({
      everyMs: usageMs,
      tick: () => usage.sampleAll(),
      onError: (error) => log.warn({ err: error }, 'usage could not be read'),
    }),
  )
  parts.sync = stack.use(
    startSync({
      client: deps.control,
      report,
      apply(reply) {
        identity.set(reply.hostId)
        templates.setDesired(reply.templates)
        reconciler.setDesired(reply.sandboxes)
      },
      accepted(accepted) {
        untold.accepted(accepted.readings)
        usage.accepted((reading) => untold.has(reading))
      },
      onAway: () => untold.forget(),
      hasSandboxes: () => reconciler.wanted() > 0,
      log,
      random,
    }),
  )
  stack.use(
    keepTunnel({
      ...deps.gateway,
      hostId: (signal) => identity.known(signal),
      handler: serveStreams({ driver, log }),
      log,
      random,
    }),
  )
  const running = stack.move()
  return {
    async [Symbol.asyncDispose]() {
      // The last readings of this life go to the disk; the next one reports them.
      await usage.sampleAll().catch((error: unknown) => log.warn({ err: error }, 'last usage could not be read'))
      await running.disposeAsync()
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

if (import.meta.main) {
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
      version: packageJson.version,
      log,
    }),
  )
  announceReady(config.SLOPBOX_READY_FD)
  log.info({ driver: driver.name }, 'serving')
  await untilStopped()
}
