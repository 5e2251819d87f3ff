import { writeSync } from 'node:fs'

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
