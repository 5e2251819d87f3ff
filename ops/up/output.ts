import type { Say } from '../say.ts'
import { sayOnStderr } from '../say.ts'
import type { Installation } from '../setup/installation.ts'
import type { Operator } from './operator.ts'
import { apiUrl, domainWithPort, publicUrl } from './where.ts'

/** The one line of `--json`. */
export interface ReadyLine {
  url: string
  apiUrl: string
  /** With its port. */
  domain: string
  /** Authority behind the TLS certificates of this installation. */
  caFile: string
  dataDir: string
  operator: { email: string; password: string }
  apiKey: string
}

export function readyLine(installation: Installation, caFile: string, dataDir: string, operator: Operator): ReadyLine {
  return {
    url: publicUrl(installation),
    apiUrl: apiUrl(installation),
    domain: domainWithPort(installation),
    caFile,
    dataDir,
    operator: { email: operator.email, password: operator.password },
    apiKey: operator.apiKey,
  }
}

/** Where a start tells things: a terminal, or the process that started this one with `--detach`. */
export interface Output {
  say: Say
  line: (text: string) => void
  /** From now on nobody waits for this start. */
  ready: () => void
}

type Message = { say: string } | { line: string } | { ready: true }

export function createOutput(): Output {
  const say = sayOnStderr()
  if (process.send === undefined) {
    return { say, line: (text) => void process.stdout.write(`${text}\n`), ready() {} }
  }
  const send = (message: Message): void => {
    if (process.connected) process.send?.(message)
  }
  return {
    say: (text) => send({ say: text }),
    line: (text) => send({ line: text }),
    ready: () => {
      if (process.connected) process.send?.({ ready: true } satisfies Message, () => process.disconnect())
    },
  }
}

/** Tells what a detached start says; true once it is ready. */
export function relay(message: unknown, say: Say): boolean {
  const told = message as Partial<Record<'say' | 'line', string>> & { ready?: true }
  if (told.say !== undefined) say(told.say)
  if (told.line !== undefined) process.stdout.write(`${told.line}\n`)
  return told.ready === true
}
