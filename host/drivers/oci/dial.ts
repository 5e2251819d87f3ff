import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { SlopboxError } from '../../../contract/errors.ts'

/** Connects to an address of a link. The signal ends the attempt only: an open connection is the caller's to close. */
export function dialAddress(host: string, port: number, signal: AbortSignal): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    // Not handed to connect(), which would destroy the open socket when the signal aborts later.
    const socket = connect({ host, port, noDelay: true })
    const give = (cause: Error): void => {
      signal.removeEventListener('abort', late)
      socket.destroy()
      reject(
        new SlopboxError('upstream_failed', `nothing answers on port ${port} of the sandbox: ${cause.message}`, {
          cause,
        }),
      )
    }
    const late = (): void => give(new Error('the attempt was given up'))
    socket.once('error', give)
    signal.addEventListener('abort', late, { once: true })
    if (signal.aborted) late()
    socket.once('connect', () => {
      socket.off('error', give)
      signal.removeEventListener('abort', late)
      resolve(socket)
    })
  })
}
