import { pipeline } from 'node:stream'
import type { Duplex } from 'node:stream'
import type { ServerChannel, TcpipRequestInfo } from 'ssh2'
import { SlopboxError } from '../../contract/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Dialler } from '../dial.ts'
import type { Grant } from '../grants.ts'
import { untilClosed } from './channel.ts'
import { dialLoopback } from './loopback.ts'

/** The sandbox by the names it has for itself. Any other host would be a way round egress. */
const itself = /^(?:localhost|127(?:\.\d{1,3}){3}|::1|0\.0\.0\.0|::)$/i

export const isItself = (host: string, grant: Grant): boolean =>
  itself.test(host) || host === grant.sandboxId || (grant.agentId !== null && host === grant.agentId)

export interface ForwardDeps {
  dialler: Dialler
  grant: Grant
  gone: AbortSignal
  log: Log
}

/** A connection the client forwards (RFC 4254 §7.2): to a port of the sandbox, and nowhere else. */
export async function forwardPort(
  deps: ForwardDeps,
  info: TcpipRequestInfo,
  accept: () => ServerChannel,
  reject: () => void,
): Promise<void> {
  if (!isItself(info.destIP, deps.grant) || info.destPort < 1 || info.destPort > 65_535) return reject()
  try {
    const stream = await dial(deps, info.destPort)
    if (deps.gone.aborted) return void stream.destroy()
    const channel = accept()
    // Two pipelines and their ends listen; that is a dozen, not a leak.
    channel.setMaxListeners(30)
    untilClosed(channel).addEventListener('abort', () => stream.destroy(), { once: true })
    pipeline(channel, stream, () => {})
    pipeline(stream, channel, () => {
      channel.end()
    })
  } catch (error) {
    deps.log.debug({ err: error, port: info.destPort }, 'forwarded connection')
    reject()
  }
}

async function dial({ dialler, grant, gone }: ForwardDeps, port: number): Promise<Duplex> {
  try {
    return await dialler.port(grant, port, gone)
  } catch (error) {
    if (!(error instanceof SlopboxError) || error.code !== 'upstream_failed') throw error
    return await dialLoopback(dialler, grant, port, gone)
  }
}
