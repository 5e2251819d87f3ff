import { type ChildProcess, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { pause } from '../../lib/loop.ts'
import { OpsError } from '../say.ts'
import { LogFile } from './log-file.ts'

/** What to run and how to know that it serves. */
export interface ChildSpec {
  name: string
  argv: readonly string[]
  env: Readonly<Record<string, string>>
  logFile: string
  /** Told the pid of each life, before `ready` is asked. */
  onPid?: (pid: number) => void
  /** `line`: it writes `ready` on the descriptor named in SLOPBOX_READY_FD. A function: asked again until it is true. */
  ready: 'line' | ((signal: AbortSignal) => Promise<boolean>)
  readyTimeoutMs: number
  /** Asked to stop with this, killed after the time. */
  stopSignal: NodeJS.Signals
  stopTimeoutMs: number
  /** How willingly the kernel ends it when memory runs out: below zero is later. */
  oomScoreAdj: number
}

export interface ChildWatcher {
  onStart?: (pid: number) => void
  /** It ended although nobody asked; it is started again after `delayMs`. */
  onCrash?: (what: string, delayMs: number) => void
}

/** Waits before the start after the 1st, 2nd, … crash in a row, in ms. */
const backOffMs = [200, 1000, 2000, 5000, 10_000, 30_000]
/** Running this long ends a row of crashes. */
const steadyMs = 60_000
const readyFd = 3

/** Keeps one process running: starts it, starts it again when it dies, stops it when disposed. */
export class Child implements AsyncDisposable {
  readonly name: string
  readonly #spec: ChildSpec
  readonly #watcher: ChildWatcher
  readonly #stop = new AbortController()
  readonly #log: LogFile
  readonly #ready = Promise.withResolvers<void>()
  readonly #tail: string[] = []
  #process: ChildProcess | null = null
  #served = false
  #run: Promise<void>
  restarts = 0

  constructor(spec: ChildSpec, watcher: ChildWatcher = {}) {
    this.name = spec.name
    this.#spec = spec
    this.#watcher = watcher
    this.#log = new LogFile(spec.logFile)
    this.#ready.promise.catch(() => {})
    this.#run = this.#keepRunning()
  }

  /** Resolves when it serves for the first time; rejects with its last words when it ends or hangs before that. */
  ready(): Promise<void> {
    return this.#ready.promise
  }

  get pid(): number | null {
    return this.#process?.pid ?? null
  }

  async #keepRunning(): Promise<void> {
    let crashes = 0
    while (!this.#stop.signal.aborted) {
      const started = performance.now()
      const what = await this.#once()
      if (this.#stop.signal.aborted) break
      if (!this.#served) {
        this.#ready.reject(new OpsError(`${this.name} ${what}`, this.#lastWords()))
        break
      }
      crashes = performance.now() - started > steadyMs ? 0 : crashes + 1
      const delayMs = backOffMs[Math.min(Math.max(crashes - 1, 0), backOffMs.length - 1)] ?? 0
      this.#watcher.onCrash?.(what, delayMs)
      this.restarts += 1
      await pause(delayMs, this.#stop.signal)
    }
  }

  /** One life of the process; resolves with how it ended. */
  async #once(): Promise<string> {
    const [program = '', ...args] = this.#spec.argv
    const env = { ...this.#spec.env, ...(this.#spec.ready === 'line' ? { SLOPBOX_READY_FD: String(readyFd) } : {}) }
    // A session of its own: Ctrl-C in the operator's terminal reaches the supervisor only, which stops in order.
    const child = spawn(program, args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] })
    this.#process = child
    const ended = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(`could not be started: ${error.message}`))
      child.once('exit', (code, signal) => {
        const how = signal === null ? `ended with code ${code}` : `was ended by ${signal}`
        // Its last words are still in the pipe. They end with `close`, unless something it started holds the pipe.
        const enough = setTimeout(() => resolve(how), 200)
        child.once('close', () => {
          clearTimeout(enough)
          resolve(how)
        })
      })
    })
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => this.#keep(chunk))
    if (child.pid !== undefined) {
      setOomScore(child.pid, this.#spec.oomScoreAdj)
      this.#spec.onPid?.(child.pid)
      this.#watcher.onStart?.(child.pid)
    }
    const life = new AbortController()
    const gone = ended.finally(() => life.abort())
    if (!this.#served) void this.#awaitReady(child, life.signal)
    const what = await gone
    // Whatever it started may hold the other ends for ever.
    for (const stream of child.stdio) stream?.destroy()
    this.#process = null
    return what
  }

  async #awaitReady(child: ChildProcess, ended: AbortSignal): Promise<void> {
    const limit = AbortSignal.timeout(this.#spec.readyTimeoutMs)
    const signal = AbortSignal.any([ended, limit])
    const { ready } = this.#spec
    const serves =
      ready === 'line' ? await readLine(child.stdio[readyFd] as Readable, signal) : await ask(ready, signal)
    if (serves) {
      this.#served = true
      this.#ready.resolve()
    } else if (limit.aborted && !ended.aborted) {
      const seconds = Math.round(this.#spec.readyTimeoutMs / 1000)
      this.#ready.reject(new OpsError(`${this.name} did not serve within ${seconds} s`, this.#lastWords()))
    }
  }

  #keep(chunk: Buffer): void {
    this.#log.write(chunk)
    if (this.#served) return
    this.#tail.push(
      ...chunk
        .toString('utf8')
        .split('\n')
        .filter((line) => line !== ''),
    )
    this.#tail.splice(0, Math.max(0, this.#tail.length - 12))
  }

  #lastWords(): string {
    const words = this.#tail.length === 0 ? '(it said nothing)' : this.#tail.join('\n    ')
    return `Its last words, from ${this.#spec.logFile}:\n    ${words}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    const child = this.#process
    child?.kill(this.#spec.stopSignal)
    const limit = setTimeout(() => child?.kill('SIGKILL'), this.#spec.stopTimeoutMs)
    await this.#run
    clearTimeout(limit)
    this.#log[Symbol.dispose]()
  }
}

/** True once the stream brings a line; false when it ends, or the signal aborts, before. */
function readLine(stream: Readable, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    stream.once('data', () => resolve(true))
    stream.once('close', () => resolve(false))
    stream.once('error', () => resolve(false))
    signal.addEventListener('abort', () => resolve(false), { once: true })
  })
}

async function ask(question: (signal: AbortSignal) => Promise<boolean>, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    if (await question(signal)) return true
    await pause(25, signal)
  }
  return false
}

/** Lowering the score needs CAP_SYS_RESOURCE, which a container's root may lack: then the default stays. */
function setOomScore(pid: number, score: number): void {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, String(score))
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code !== 'EACCES' && code !== 'EPERM' && code !== 'ENOENT' && code !== 'ESRCH') throw error
  }
}
