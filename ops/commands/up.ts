import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { homedir } from 'node:os'
import { SlopboxError } from '../../contract/errors.ts'
import { Slopbox } from '../../sdk/index.ts'
import { requireMachine } from '../doctor/probes.ts'
import { writeAtomic } from '../files.ts'
import { type DataLock, isHolder, takeLock } from '../lock.ts'
import { appDirectory, placesOf } from '../paths.ts'
import { alsoInto, OpsError, type Say, sayOnStderr } from '../say.ts'
import { ensureConsole } from '../setup/console.ts'
import { ensureCredentials } from '../setup/credentials.ts'
import { checkReadable, ensureDataDirectory, ensureParts, ensureRun } from '../setup/directories.ts'
import { type Installation, readInstallation, writeInstallation } from '../setup/installation.ts'
import { ensurePackages } from '../setup/packages.ts'
import { ensureDatabase } from '../setup/postgres.ts'
import { ensureUsers } from '../setup/users.ts'
import { clearLeftovers } from '../supervise/process-table.ts'
import { supervise } from '../supervise/supervisor.ts'
import { ensureOperator, type Operator, signInLink } from '../up/operator.ts'
import { createOutput, type Output, readyLine, relay } from '../up/output.ts'
import { confinementOf, processGroups, type Situation } from '../up/processes.ts'
import { readUpSettings, type UpSettings } from '../up/settings.ts'
import { followTemplate } from '../up/templates.ts'
import { apiUrl, domainWithPort, proxyUrl, publicUrl, settleInstallation, sshCommand } from '../up/where.ts'

/** `slopbox up`: sets up what is missing, then runs the system until it is told to stop. Returns the exit status. */
export async function up(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const settings = readUpSettings(args, env)
  requireRoot()
  if (settings.detach) return detach(args)
  const output = createOutput()
  ensurePackages('run', output.say)
  if (settings.driver === 'oci') requireMachine()
  ensureDataDirectory(settings.data)
  const lock = takeLock(join(settings.data, 'up.lock'))
  if (isHolder(lock)) {
    const where = lock.url === null ? '' : `, ${lock.url}`
    throw new OpsError(
      `${settings.data} is already in use by a running Slopbox (pid ${lock.pid}${where})`,
      'Use that one, stop it with `slopbox down`, or give this one its own --data.',
    )
  }
  using held = lock
  return await run(settings, held, output)
}

function requireRoot(): void {
  if (process.getuid?.() === 0) return
  throw new OpsError(
    'this needs root: sandboxes are made of namespaces, mounts and firewall rules',
    'Run: sudo ./slopbox up   (console, API, egress and database then run as system users of their own)',
  )
}

async function run(settings: UpSettings, lock: DataLock, output: Output): Promise<number> {
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.abort())
  const untilStop = new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve()))
  try {
    const { situation, operatorToken, say } = await prepare(settings, output)
    const { places, installation } = situation
    await using _system = await supervise(
      processGroups(situation),
      join(places.run, 'processes.json'),
      say,
      stop.signal,
    )
    const client = { socketPath: places.sockets.control, token: operatorToken }
    const { operator, created } = await ensureOperator(client, places.operator, stop.signal)
    saveCliAccount(installation, operator, settings.data)
    const link = await signInLink(client, publicUrl(installation), stop.signal)
    lock.announce(publicUrl(installation))
    await tell(situation, operator, created, link, say, stop.signal, output)
    await untilStop
    say('stopping')
  } catch (error) {
    if (!stop.signal.aborted) throw error
  }
  return 0
}

/** Everything on disk and on the machine that the processes expect to find. */
async function prepare(
  settings: UpSettings,
  output: Output,
): Promise<{ situation: Situation; operatorToken: string; say: Say }> {
  checkReadable(appDirectory)
  const accounts = ensureUsers()
  const file = join(settings.data, 'installation.json')
  const before = readInstallation(file)
  // The processes of a supervisor that was killed may still hold the ports that are looked at next.
  if (before !== null)
    await clearLeftovers(join(placesOf(settings.data, before.instance).run, 'processes.json'), 10_000)
  const installation = await settleInstallation(before, settings, new Date(), output.say)
  const places = placesOf(settings.data, installation.instance)
  writeInstallation(file, installation)
  ensureParts(places, accounts)
  const say = alsoInto(join(places.logs, 'up.log'), output.say)
  ensureRun(places, accounts, installation)
  const { operatorToken } = await ensureCredentials(places, accounts, new Date())
  const situation: Situation = {
    places,
    installation,
    settings,
    clone: appDirectory,
    publicUrl: publicUrl(installation),
    domain: domainWithPort(installation),
  }
  const database =
    settings.databaseUrl === null
      ? ensureDatabase(places, accounts['slopbox-db'], confinementOf(situation, 'db', 'slopbox-db'), say)
      : Promise.resolve()
  await Promise.all([database, ensureConsole(appDirectory, say)])
  return { situation, operatorToken, say }
}

/** Lets the command line on this machine find the installation that was started last. */
function saveCliAccount(installation: Installation, operator: Operator, dataDir: string): void {
  const directory = join(process.env['XDG_CONFIG_HOME'] ?? join(homedir(), '.config'), 'slopbox')
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const account = { url: apiUrl(installation), apiKey: operator.apiKey, dataDir }
  writeAtomic(join(directory, 'config.json'), `${JSON.stringify(account, null, 2)}\n`, 0o600)
}

async function tell(
  situation: Situation,
  operator: Operator,
  created: boolean,
  link: string,
  say: Say,
  stop: AbortSignal,
  output: Output,
): Promise<void> {
  const { places, installation, settings } = situation
  // The link and the password are for whoever started this: they go to the terminal and into no log.
  output.say(summary(situation, operator, created, link))
  const client = new Slopbox({ url: apiUrl(installation), apiKey: operator.apiKey })
  if (settings.build) await buildTemplate(client, 'base', say, stop)
  if (stop.aborted) return
  if (settings.json) output.line(JSON.stringify(readyLine(installation, places.caFile, places.data, operator)))
  say(`ready: ${publicUrl(installation)}`)
  output.ready()
  if (settings.build) void buildTemplate(client, 'openclaw', say, stop)
}

/** A template that cannot be built is told and leaves the system up: everything else works, and a retry may do. */
async function buildTemplate(client: Slopbox, name: string, say: Say, stop: AbortSignal): Promise<void> {
  try {
    await followTemplate(client, name, say, stop)
  } catch (error) {
    if (stop.aborted) return
    if (!(error instanceof OpsError) && !(error instanceof SlopboxError)) throw error
    say(`${error.message}${error.hint === null ? '' : `\n  ${error.hint}`}`)
  }
}

function summary(
  { places, installation, settings }: Situation,
  operator: Operator,
  created: boolean,
  link: string,
): string {
  const proxy = proxyUrl(installation, settings)
  const rows: [string, string][] = [
    ['console', publicUrl(installation)],
    ['API', `${apiUrl(installation)}/v1   (documentation: ${apiUrl(installation)}/docs)`],
    ...(proxy === null
      ? []
      : [['proxy', `${proxy}   (for machines elsewhere: slopbox agent proxy-token AGENT)`] satisfies [string, string]]),
    ['ssh', sshCommand(installation) ?? 'off'],
    ['data', places.data],
    ['logs', `${places.logs}   (or: slopbox logs -f)`],
    ['operator', created ? `${operator.email}, password ${operator.password}   (shown once)` : operator.email],
    ['sign in', `${link}   (works once)`],
    ['stop', 'Ctrl-C, or: slopbox down   (running sandboxes stay, and are found again at the next start)'],
  ]
  return rows.map(([name, value]) => `  ${name.padEnd(9)}${value}`).join('\n')
}

/** Starts the same command as a session of its own, and stays until that is ready. */
function detach(args: readonly string[]): Promise<number> {
  const say = sayOnStderr()
  const rest = args.filter((arg) => arg !== '--detach')
  const main = join(dirname(import.meta.dirname), 'main.ts')
  const child = spawn(process.execPath, [...process.execArgv, main, 'up', ...rest], {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  child.stderr?.pipe(process.stderr)
  return new Promise((resolve) => {
    child.on('message', (message) => {
      if (!relay(message, say)) return
      child.unref()
      child.stderr?.destroy()
      resolve(0)
    })
    child.once('exit', (code) => resolve(code ?? 1))
  })
}
