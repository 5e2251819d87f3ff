import { createServer, type Server } from 'node:net'
import { PassThrough, type Readable, type Writable } from 'node:stream'
import { pause } from '../../lib/loop.ts'

/** What a command of the fake driver can see and touch. */
export interface FakeProcess {
  args: readonly string[]
  env: Readonly<Record<string, string>>
  cwd: string
  user: string
  stdin: Readable
  stdout: Writable
  stderr: Writable
  /** Aborted, with the name of the signal as reason, when the command is to end. */
  signal: AbortSignal
  read(path: string): string | undefined
  /** Throws when the path cannot be written. */
  write(path: string, text: string): void
  remove(path: string): void
  /** Registers a server as listening on a port inside; the returned function takes it away. */
  listen(port: number, server: Server): () => void
}

/** Ends a command as if the kernel had killed it because the memory limit was reached. */
export class FakeOutOfMemory extends Error {}

type Builtin = (process: FakeProcess) => Promise<number> | number

const absolute = (process: FakeProcess, path: string): string =>
  path.startsWith('/') ? path : `${process.cwd === '/' ? '' : process.cwd}/${path}`

async function readAll(process: FakeProcess): Promise<string> {
  let text = ''
  for await (const chunk of process.stdin) text += String(chunk)
  return text
}

async function cat(process: FakeProcess): Promise<number> {
  const [, ...paths] = process.args
  if (paths.length === 0) {
    for await (const chunk of process.stdin) process.stdout.write(chunk)
    return 0
  }
  let code = 0
  for (const path of paths) {
    const text = process.read(absolute(process, path))
    if (text === undefined) {
      process.stderr.write(`cat: ${path}: No such file or directory\n`)
      code = 1
    } else process.stdout.write(text)
  }
  return code
}

/** Listens until it is told to end, and sends every byte back. */
async function echoServer(process: FakeProcess): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.pipe(socket)
  })
  const close = process.listen(Number(process.args[1]), server)
  await pause(2 ** 31 - 1, process.signal)
  close()
  return 0
}

const builtins: Readonly<Record<string, Builtin>> = {
  true: () => 0,
  false: () => 1,
  cat,
  'echo-server': echoServer,
  echo({ args, stdout }) {
    stdout.write(`${args.slice(1).join(' ')}\n`)
    return 0
  },
  env({ env, stdout }) {
    for (const [name, value] of Object.entries(env)) stdout.write(`${name}=${value}\n`)
    return 0
  },
  pwd({ cwd, stdout }) {
    stdout.write(`${cwd}\n`)
    return 0
  },
  whoami({ user, stdout }) {
    stdout.write(`${user}\n`)
    return 0
  },
  async tee(process) {
    const text = await readAll(process)
    process.stdout.write(text)
    for (const path of process.args.slice(1)) process.write(absolute(process, path), text)
    return 0
  },
  rm(process) {
    for (const path of process.args.slice(1)) process.remove(absolute(process, path))
    return 0
  },
  async sleep({ args, signal }) {
    await pause(args[1] === 'infinity' ? 2 ** 31 - 1 : Number(args[1]) * 1000, signal)
    return 0
  },
  exit: ({ args }) => Number(args[1] ?? 0),
  hog() {
    throw new FakeOutOfMemory()
  },
  sh: runScript,
}

/** Runs one command. 127 when there is no such built-in, as a shell answers. */
export async function runCommand(process: FakeProcess): Promise<number> {
  const name = process.args[0]?.replace(/^.*\//, '') ?? ''
  const builtin = Object.hasOwn(builtins, name) ? builtins[name] : undefined
  if (builtin !== undefined) return builtin(process)
  process.stderr.write(`${process.args[0]}: not found\n`)
  return 127
}

/**
 * `sh -c`: commands separated by `;` or line breaks, single and double quotes, `$NAME`, and the redirections `>&2`,
 * `> path` and `>> path`. No pipes, no conditions: what tests and the demo say, and no more.
 */
async function runScript(process: FakeProcess): Promise<number> {
  const script = process.args[1] === '-c' ? (process.args[2] ?? '') : await readAll(process)
  let code = 0
  for (const line of splitCommands(script)) {
    const words = splitWords(line, process.env)
    if (words.length === 0) continue
    const { args, stdout, done } = redirect(process, words)
    try {
      code = await runCommand({ ...process, args, stdout })
      done()
    } catch (error) {
      if (error instanceof FakeOutOfMemory) throw error
      process.stderr.write(`sh: ${error instanceof Error ? error.message : String(error)}\n`)
      code = 2
    }
    if (args[0] === 'exit' || process.signal.aborted) return code
  }
  return code
}

const splitCommands = (script: string): string[] => script.match(/(?:'[^']*'|"[^"]*"|[^;\n'"])+/g) ?? []

function splitWords(line: string, env: FakeProcess['env']): string[] {
  const expand = (text: string): string => text.replaceAll(/\$(\w+)/g, (_, name: string) => env[name] ?? '')
  const parts = line.trim().match(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g) ?? []
  return parts.map((part) =>
    part.replaceAll(/'([^']*)'|"([^"]*)"|([^'"]+)/g, (_, single?: string, double?: string, bare?: string) =>
      single === undefined ? expand(double ?? bare ?? '') : single,
    ),
  )
}

function redirect(process: FakeProcess, words: string[]): { args: string[]; stdout: Writable; done: () => void } {
  const at = words.findIndex((word) => word.startsWith('>'))
  if (at < 0) return { args: words, stdout: process.stdout, done() {} }
  const args = words.slice(0, at)
  const mark = words[at] ?? ''
  if (mark === '>&2') return { args, stdout: process.stderr, done() {} }
  const path = absolute(process, words[at + 1] ?? mark.replace(/^>+/, ''))
  const text = mark.startsWith('>>') ? (process.read(path) ?? '') : ''
  const stdout = new PassThrough()
  // Taken at the end of the command: everything it wrote is in the buffer by then.
  const rest = (): string => String(stdout.read() ?? '')
  return { args, stdout, done: () => process.write(path, text + rest()) }
}
