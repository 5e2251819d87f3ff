/**
 * Commands without a caller. They belong to this process: it keeps the latest of their output in memory, whoever reads,
 * and a new process knows nothing of them. So that none is left behind unseen, an orderly end of this process kills them.
 */
import { constants } from 'node:os'
import {
  keptOutputBytes,
  maxEndedCommands,
  maxRunningCommands,
  type Command,
  type CommandExit,
  type CommandRequest,
} from '../contract/commands.ts'
import { SlopboxError } from '../contract/errors.ts'
import { newId } from '../contract/ids.ts'
import type { Log } from '../lib/log.ts'
import { pause } from '../lib/loop.ts'
import type { Driver, Execution } from './driver.ts'
import { OutputRing, type OutputName, type Piece } from './output-ring.ts'

interface Running {
  info: Omit<Command, 'outputBytes' | 'droppedBytes'>
  output: OutputRing
  execution: Execution
  /** Why it will have ended, once it does. */
  reason: CommandExit['reason']
  /** Called after every change; each call is for one change. */
  waiting: Set<() => void>
  /** Settles when it has ended; never rejects. */
  ended: Promise<void>
}

/** Bytes a command has not read yet, above which no more are taken. */
const maxUnreadBytes = 4 * 1024 * 1024

export type OutputEvent = Piece | { dropped: number } | { exit: CommandExit }

export class Commands implements AsyncDisposable {
  readonly #driver: Driver
  readonly #log: Log
  readonly #bySandbox = new Map<string, Map<string, Running>>()

  constructor(deps: { driver: Driver; log: Log }) {
    this.#driver = deps.driver
    this.#log = deps.log
  }

  async start(sandboxId: string, request: CommandRequest): Promise<Command> {
    const driver = this.#driver
    if (driver.exec === undefined) throw new SlopboxError('wrong_state', `driver ${driver.name} cannot run commands`)
    await this.#forgetGone()
    this.#assertRoom(sandboxId)
    const { command, env, cwd, user } = request
    const execution = await driver.exec(sandboxId, { command, env, cwd, user })
    // A command may close its input early; what else is sent to it is dropped.
    execution.stdin.on('error', () => {})
    if (!request.keepStdin) execution.stdin.end()
    const started: Running = {
      info: {
        id: newId('command'),
        sandboxId,
        command,
        state: 'running',
        startedAt: new Date().toISOString(),
        endedAt: null,
        exit: null,
      },
      output: new OutputRing(keptOutputBytes),
      execution,
      reason: 'exited',
      waiting: new Set(),
      ended: Promise.resolve(),
    }
    started.ended = this.#follow(started, request.timeoutMs)
    this.#of(sandboxId).set(started.info.id, started)
    return describe(started)
  }

  list(sandboxId: string): Command[] {
    return [...(this.#bySandbox.get(sandboxId)?.values() ?? [])].map(describe)
  }

  /** The command once it has ended, or as it is after `waitMs`. */
  async get(sandboxId: string, commandId: string, waitMs: number, signal: AbortSignal): Promise<Command> {
    const found = this.#find(sandboxId, commandId)
    if (found.info.state === 'running' && waitMs > 0) {
      const over = new AbortController()
      await Promise.race([found.ended, pause(waitMs, AbortSignal.any([signal, over.signal]))])
      over.abort()
    }
    return describe(found)
  }

  /** What was written from a position on, until the command ends or the signal aborts. Throws at once when it cannot. */
  output(sandboxId: string, commandId: string, from: number, signal: AbortSignal): AsyncGenerator<OutputEvent, void> {
    const found = this.#find(sandboxId, commandId)
    if (from > found.output.end)
      throw new SlopboxError(
        'invalid_request',
        `query.from: ${from} is behind the end of the output, ${found.output.end}`,
      )
    return follow(found, from, signal)
  }

  input(sandboxId: string, commandId: string, data: Buffer, end: boolean): void {
    const { stdin } = this.#alive(sandboxId, commandId).execution
    if (stdin.writableEnded || stdin.destroyed)
      throw new SlopboxError('wrong_state', `standard input of command ${commandId} is closed`, {
        hint: 'Start it with `keepStdin` to write to it.',
      })
    if (stdin.writableLength + data.length > maxUnreadBytes)
      throw new SlopboxError('too_large', `command ${commandId} has ${stdin.writableLength} unread bytes of input`, {
        hint: 'Wait until it has read them.',
      })
    if (data.length > 0) stdin.write(data)
    if (end) stdin.end()
  }

  signal(sandboxId: string, commandId: string, signal: string): void {
    if (!(signal in constants.signals)) throw new SlopboxError('invalid_request', `unknown signal ${signal}`)
    this.#alive(sandboxId, commandId).execution.kill(signal as NodeJS.Signals)
  }

  async kill(sandboxId: string, commandId: string): Promise<Command> {
    const found = this.#find(sandboxId, commandId)
    this.#end(found, 'killed')
    await found.ended
    return describe(found)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [...this.#bySandbox.values()].flatMap((commands) => [...commands.values()])
    for (const command of all) this.#end(command, 'killed')
    await Promise.all(all.map(({ ended }) => ended))
  }

  #end(command: Running, reason: CommandExit['reason']): void {
    if (command.info.state === 'ended') return
    if (command.reason === 'exited') command.reason = reason
    command.execution.kill('SIGKILL')
  }

  async #follow(command: Running, timeoutMs: number | null): Promise<void> {
    const { execution, info } = command
    const over = new AbortController()
    if (timeoutMs !== null)
      void pause(timeoutMs, over.signal).then(() => over.signal.aborted || this.#end(command, 'timeout'))
    let exit: { code: number | null; signal: string | null } = { code: null, signal: null }
    try {
      const drained = [this.#drain(command, 'stdout'), this.#drain(command, 'stderr')]
      exit = await execution.exited
      await Promise.all(drained)
    } catch (error) {
      command.reason = 'killed'
      this.#log.warn({ err: error, sandboxId: info.sandboxId, commandId: info.id }, 'command broke off')
    }
    over.abort()
    Object.assign(info, {
      state: 'ended',
      endedAt: new Date().toISOString(),
      exit: { ...exit, reason: command.reason },
    })
    tell(command)
    this.#dropOldest(info.sandboxId)
  }

  /** Reads on whether or not anybody looks, so that a command is never held back by nobody. */
  async #drain(command: Running, name: OutputName): Promise<void> {
    for await (const chunk of command.execution[name] as AsyncIterable<Buffer>) {
      command.output.add(name, chunk)
      tell(command)
    }
  }

  #of(sandboxId: string): Map<string, Running> {
    let found = this.#bySandbox.get(sandboxId)
    if (found === undefined) this.#bySandbox.set(sandboxId, (found = new Map()))
    return found
  }

  #find(sandboxId: string, commandId: string): Running {
    const found = this.#bySandbox.get(sandboxId)?.get(commandId)
    if (found === undefined)
      throw new SlopboxError('not_found', `no command ${commandId} in sandbox ${sandboxId}`, {
        hint: 'It ended long ago, or its host process was restarted.',
      })
    return found
  }

  #alive(sandboxId: string, commandId: string): Running {
    const found = this.#find(sandboxId, commandId)
    if (found.info.state === 'ended') throw new SlopboxError('wrong_state', `command ${commandId} has ended`)
    return found
  }

  #assertRoom(sandboxId: string): void {
    const running = this.list(sandboxId).filter(({ state }) => state === 'running').length
    if (running >= maxRunningCommands)
      throw new SlopboxError(
        'rate_limited',
        `${running} commands run in the background; at most ${maxRunningCommands}`,
        {
          hint: 'End one first.',
        },
      )
  }

  #dropOldest(sandboxId: string): void {
    const commands = this.#of(sandboxId)
    const ended = [...commands.values()].filter(({ info }) => info.state === 'ended')
    for (const { info } of ended.slice(0, Math.max(0, ended.length - maxEndedCommands))) commands.delete(info.id)
  }

  async #forgetGone(): Promise<void> {
    const there = await this.#driver.list()
    for (const [sandboxId, commands] of this.#bySandbox)
      if (!there.has(sandboxId) && [...commands.values()].every(({ info }) => info.state === 'ended'))
        this.#bySandbox.delete(sandboxId)
  }
}

const describe = ({ info, output }: Running): Command => ({
  ...info,
  outputBytes: output.end,
  droppedBytes: output.start,
})

function tell(command: Running): void {
  for (const wake of command.waiting) wake()
  command.waiting.clear()
}

function changed(command: Running, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const done = (): void => {
    command.waiting.delete(done)
    signal.removeEventListener('abort', done)
    resolve()
  }
  command.waiting.add(done)
  signal.addEventListener('abort', done, { once: true })
  return promise
}

async function* follow(command: Running, from: number, signal: AbortSignal): AsyncGenerator<OutputEvent, void> {
  const { output, info } = command
  let at = from
  while (!signal.aborted) {
    if (at < output.start) {
      yield { dropped: output.start - at }
      at = output.start
    }
    const [piece] = output.from(at)
    if (piece !== undefined) {
      at = piece.start + piece.bytes.length
      yield piece
    } else if (info.exit !== null) {
      yield { exit: info.exit }
      return
    } else await changed(command, signal)
  }
}
