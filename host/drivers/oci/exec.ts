import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import { Transform, type Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { TerminalSize } from '../../../contract/pty.ts'
import type { Execution } from '../../driver.ts'
import { processConfig } from './bundle.ts'
import type { ProcessRequest } from './bundle.ts'
import { killProcess } from './cgroups.ts'
import type { SandboxCgroup } from './cgroups.ts'
import { errorCode, readIfThere } from './layout.ts'
import { toolEnv } from './process.ts'

export interface ExecOptions {
  id: string
  runtime: string
  runtimeRoot: string
  /** For the short-lived request files. */
  directory: string
  request: ProcessRequest
  terminal: TerminalSize | undefined
  power: 'none' | 'build'
  cgroup: SandboxCgroup
  onError: (error: unknown) => void
}

/** By this variable everything that a command started is found again, also what left its session. */
const marker = 'SLOPBOX_EXEC'

/**
 * Starts a command in a running sandbox through the runtime, which hands our pipes on. As in a shell, 127 says that there
 * is no such program and 126 that it could not be started; standard error tells why.
 */
export async function startExec(options: ExecOptions): Promise<Execution> {
  const tag = crypto.randomUUID()
  const file = join(options.directory, `exec-${tag}.json`)
  const pidFile = join(options.directory, `exec-${tag}.pid`)
  const { terminal } = options
  const request = { ...options.request, env: { ...options.request.env, [marker]: tag } }
  await writeFile(file, JSON.stringify({ ...processConfig(request, options.power), ...consoleOf(terminal) }), {
    mode: 0o600,
  })
  const args = ['--root', options.runtimeRoot, 'exec', '--process', file, '--pid-file', pidFile, options.id]
  // A session of its own: crun's command stays in the process group of its caller, which must not be ours.
  const [program, ...words] = [...atTerminal(terminal, pidFile), options.runtime, ...args]
  const child = spawn(program ?? '', words, {
    env: toolEnv,
    // The fourth, to the helper, carries the sizes of a terminal.
    stdio: terminal === undefined ? ['pipe', 'pipe', 'pipe'] : ['pipe', 'pipe', 'pipe', 'pipe'],
    detached: true,
  }) as ChildProcessWithoutNullStreams
  const head = new Head()
  child.stderr.pipe(head)
  // A command that does not read its input closes the pipe; that is no failure of ours.
  child.stdin.on('error', () => {})
  let sent: NodeJS.Signals | null = null
  let over = false
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      over = true
      Promise.all([rm(file, { force: true }), rm(pidFile, { force: true })]).catch(options.onError)
      resolve(outcome(code, signal, sent, head.text))
    })
  })
  const deliver = async (signal: NodeJS.Signals): Promise<void> => {
    for (;;) {
      const pid = Number(await readIfThere(pidFile))
      if (pid > 0) {
        await (signal === 'SIGKILL' ? killAll(options.cgroup, pid, tag) : signalGroup(options.cgroup, pid, signal))
        return
      }
      // The runtime has not started it yet.
      if (over) return
      await sleep(2)
    }
  }
  return {
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: head,
    kill(signal) {
      sent = signal
      deliver(signal).catch(options.onError)
    },
    ...(terminal === undefined ? {} : { resize: resizer(child.stdio[3] as Writable) }),
    exited: ended,
  }
}

const helper = fileURLToPath(new URL('terminal.pl', import.meta.url))

/** What stands before the runtime's own words, so that it finds a terminal on its standard streams. */
function atTerminal(terminal: TerminalSize | undefined, pidFile: string): string[] {
  return terminal === undefined
    ? []
    : ['perl', helper, process.arch, String(terminal.cols), String(terminal.rows), pidFile]
}

const consoleOf = (terminal: TerminalSize | undefined): object =>
  terminal === undefined ? {} : { terminal: true, consoleSize: { width: terminal.cols, height: terminal.rows } }

function resizer(sizes: Writable): (size: TerminalSize) => void {
  // The command may have ended: then there is no terminal to change.
  sizes.on('error', () => {})
  return ({ cols, rows }) => void (sizes.writable && sizes.write(`${cols} ${rows}\n`))
}

/** Passes everything on and remembers how it began. */
class Head extends Transform {
  text = ''
  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: (error: null, chunk: Buffer) => void): void {
    if (this.text.length < 1024) this.text += chunk.toString('latin1')
    done(null, chunk)
  }
}

/** What the runtime says, as its only words, when it could not start the program. */
const notStarted =
  /^(executable file|open executable|chdir |exec `|exec failed|.*OCI runtime exec failed|.*exec failed:)/

function outcome(
  code: number | null,
  signal: string | null,
  sent: NodeJS.Signals | null,
  stderr: string,
): { code: number | null; signal: string | null } {
  // At a terminal the runtime puts a colour and the time before its words.
  const said = stderr.replace(/^.{0,16}?\d{4}-\d\d-\d\dT[\d:.]+Z: /, '')
  if (code === 255 && notStarted.test(said)) {
    return { code: /^chdir |permission denied/i.test(said) ? 126 : 127, signal: null }
  }
  // The runtime reports an end by a signal as 128 + its number, as shells do; only for our own signals are we sure.
  if (sent !== null && code === 128 + constants.signals[sent]) return { code: null, signal: sent }
  if (sent === 'SIGKILL' || code === null) return { code, signal: code === null ? signal : null }
  return { code, signal: null }
}

/** Signals the command's process group as far as it lives in the sandbox: the runtime itself may be in the same group. */
async function signalGroup(cgroup: SandboxCgroup, pid: number, signal: NodeJS.Signals): Promise<void> {
  const group = await groupOf(pid)
  if (group === undefined || !(await cgroup.holds(pid))) return
  for (const candidate of await cgroup.processes()) {
    if (candidate === pid || (await groupOf(candidate)) === group) killProcess(candidate, signal)
  }
}

async function groupOf(pid: number): Promise<number | undefined> {
  const stat = await readIfThere(`/proc/${pid}/stat`)
  return stat === undefined ? undefined : Number(stat.slice(stat.lastIndexOf(')')).split(' ')[3])
}

/** Kills the command and everything it started, again until nothing of it is left. */
async function killAll(cgroup: SandboxCgroup, pid: number, tag: string): Promise<void> {
  for (;;) {
    const alive: number[] = []
    for (const candidate of await cgroup.processes()) {
      if ((candidate === pid || (await isMarked(candidate, tag))) && (await cgroup.holds(candidate)))
        alive.push(candidate)
    }
    if (alive.length === 0) return
    for (const candidate of alive) killProcess(candidate, 'SIGKILL')
    await sleep(2)
  }
}

async function isMarked(pid: number, tag: string): Promise<boolean> {
  try {
    return (await readFile(`/proc/${pid}/environ`, 'latin1')).includes(`${marker}=${tag}`)
  } catch (error) {
    // Gone meanwhile, or just ending and without memory already.
    if (['ENOENT', 'ESRCH', 'EACCES'].includes(errorCode(error) ?? '')) return false
    throw error
  }
}
