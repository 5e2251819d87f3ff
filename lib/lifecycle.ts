import { writeSync } from 'node:fs'
import { inspect } from 'node:util'

/** Resolves when the operator asks the process to stop. The second signal keeps its default: it kills. */
export function untilStopped(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, resolve)
  })
}

/** Tells the supervisor that this process serves: one line on the descriptor it named in `SLOPBOX_READY_FD`, if any. */
export function announceReady(fd: number | null): void {
  if (fd !== null) writeSync(fd, 'ready\n')
}

/** Ends the process at a fault nobody caught: the stack for the log, then, as its last words, what went wrong. */
export function endOnFault(): void {
  process.on('uncaughtException', (error: unknown) => {
    const stack = error instanceof Error ? `${error.stack ?? ''}\n` : ''
    writeSync(2, `${stack}${faultText(error)}\n`)
    process.exit(1)
  })
}

/** A fault with what caused it, outermost first, and the next steps that are known. */
export function faultText(error: unknown): string {
  const messages: string[] = []
  const hints = new Set<string>()
  let each = error
  for (; each instanceof Error; each = each.cause) {
    messages.push(each.message)
    const hint = 'hint' in each ? each.hint : undefined
    if (typeof hint === 'string') hints.add(hint)
  }
  if (each !== undefined) messages.push(inspect(each))
  return [messages.join(': '), ...hints].join('\n')
}
