import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { Slopbox } from '../sdk/index.ts'

export const launcher = join(dirname(fileURLToPath(import.meta.url)), '..', 'slopbox')

/** The one line `slopbox up --json` prints. */
export interface UpLine {
  url: string
  apiUrl: string
  domain: string
  caFile: string
  dataDir: string
  operator: { email: string; password: string }
  apiKey: string
}

export interface World extends AsyncDisposable {
  up: UpLine
  /** As the first operator. */
  client: Slopbox
  /** The one-time sign-in link as it was printed. */
  signInLink: string
  /** Environment in which the CLI finds this installation and nobody else's. */
  env: NodeJS.ProcessEnv
  /** Name part of everything this installation puts on the machine. */
  instance(): Promise<string>
  stop(): Promise<void>
}

/** The whole product as a newcomer gets it: `./slopbox up --json` on an empty data directory, with a home of its own. */
export async function startWorld(): Promise<World> {
  const home = await mkdtemp(join(tmpdir(), 'slopbox-e2e-'))
  const proxy = `127.0.0.1:${await freePort()}`
  const env = { ...withoutSettings(process.env), HOME: home, XDG_CONFIG_HOME: join(home, '.config') }
  const child = spawn(
    launcher,
    ['up', '--json', '--data', join(home, 'data'), '--port', '0', '--egress-listen', proxy],
    {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: false,
    },
  )
  const said: string[] = []
  let signInLink = ''
  createInterface({ input: child.stderr }).on('line', (line) => {
    said.push(line)
    process.stderr.write(`# up: ${line}\n`)
    signInLink ||= /https?:\/\/\S+#token=\S+/.exec(line)?.[0] ?? ''
  })
  const up = await firstLine(child, said)
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    await gone
  }
  return {
    up,
    client: new Slopbox({ url: up.apiUrl, apiKey: up.apiKey }),
    signInLink,
    env,
    stop,
    async instance() {
      const installation = await readFile(join(up.dataDir, 'installation.json'), 'utf8')
      return (JSON.parse(installation) as { instance: string }).instance
    },
    async [Symbol.asyncDispose]() {
      await stop()
      await rm(home, { recursive: true, force: true })
    },
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  server.close()
  await once(server, 'close')
  return address.port
}

async function firstLine(child: ChildProcess, said: readonly string[]): Promise<UpLine> {
  assert.ok(child.stdout)
  const lines = createInterface({ input: child.stdout })
  const line = new Promise<string>((resolve) => lines.once('line', resolve))
  const died = new Promise<never>((_, reject) =>
    child.once('exit', (code) => reject(new Error(`slopbox up ended with ${code}:\n${said.slice(-30).join('\n')}`))),
  )
  const text = await Promise.race([line, died])
  died.catch(() => {})
  return JSON.parse(text) as UpLine
}

const withoutSettings = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('SLOPBOX_')))

/** Asks until the answer is wanted; after `seconds` fails with the last answer. */
export async function eventually<T>(
  what: string,
  seconds: number,
  ask: () => Promise<T>,
  wanted: (answer: T) => boolean,
): Promise<T> {
  const until = Date.now() + seconds * 1000
  for (;;) {
    const answer = await ask()
    if (wanted(answer)) return answer
    if (Date.now() > until)
      throw new Error(`${what}: still ${JSON.stringify(answer).slice(0, 2000)} after ${seconds} s`)
    await sleep(250)
  }
}

/**
 * Runs the command line as somebody with a home of his own; `home: undefined` is the first operator. Not synchronous:
 * the model that an agent asks meanwhile lives in this process.
 */
export async function cli(
  world: World,
  args: readonly string[],
  options: { input?: string; home?: string } = {},
): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const own = { ...world.env, SLOPBOX_URL: world.up.apiUrl }
  const env =
    options.home === undefined
      ? { ...own, SLOPBOX_API_KEY: world.up.apiKey }
      : { ...own, XDG_CONFIG_HOME: join(world.env['HOME'] ?? '/nonexistent', options.home) }
  const child = spawn(launcher, [...args], { env, stdio: 'pipe' })
  child.stdin.end(options.input ?? '')
  const [stdout, stderr, status] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve, reject) => child.once('close', resolve).once('error', reject)),
  ])
  return { status, stdout, stderr }
}
