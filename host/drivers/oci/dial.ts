import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { SlopboxError } from '../../../contract/errors.ts'

/** Connects to a port. Throws `upstream_failed` when nothing answers there. */
export function dialAddress(host: string, port: number, signal: AbortSignal): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, signal, noDelay: true })
    const fail = (cause: Error): void =>
      reject(
        new SlopboxError('upstream_failed', `nothing answers on port ${port} of the sandbox: ${cause.message}`, {
          cause,
        }),
      )
    socket.once('error', fail)
    socket.once('connect', () => {
      socket.off('error', fail)
      resolve(socket)
    })
  })
}
