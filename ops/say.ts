import { appendFileSync } from 'node:fs'
import { isDiskFull } from './supervise/log-file.ts'

/** What the operator is told while something happens: standard error, and a file once there is one. */
export interface Say {
  (message: string): void
}

/** Lines go to standard error. Nobody reading any more (a detached start whose terminal is gone) is not a failure. */
export function sayOnStderr(): Say {
  process.stderr.on('error', () => {})
  return (message) => void process.stderr.write(`${message}\n`)
}

/** Also keeps each line in a file, with the time; a full disk keeps it from there and from nowhere else. */
export function alsoInto(file: string, say: Say): Say {
  return (message) => {
    say(message)
    try {
      appendFileSync(file, `${new Date().toISOString()} ${message}\n`)
    } catch (error) {
      if (!isDiskFull(error)) throw error
    }
  }
}

/** The operator's mistake or the machine's lack, told in one line and a next step, without a stack. */
export class OpsError extends Error {
  override name = 'OpsError'
  readonly hint: string | null
  constructor(message: string, hint: string | null = null) {
    super(message)
    this.hint = hint
  }
}
