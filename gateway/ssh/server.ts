import { createServer } from 'node:net'
import type { AddressInfo, Server as TcpServer, Socket } from 'node:net'
import ssh2 from 'ssh2'
import type { Connection } from 'ssh2'
import type { Log } from '../../lib/log.ts'
import { tokenBuckets } from '../../lib/token-bucket.ts'
import type { Authorizer } from '../authorize.ts'
import type { Dialler } from '../dial.ts'
import type { Grants } from '../grants.ts'
import { bind } from '../listener.ts'
import { networkOf } from '../rate-limit.ts'
import type { Rate } from '../rate-limit.ts'
import { forwardPort } from './forward.ts'
import { serveSession } from './session.ts'
import { answerSignIn } from './sign-in.ts'
import type { Arrival } from './sign-in.ts'

export interface SshDeps {
  addresses: readonly { host: string; port: number }[]
  /** Private key in OpenSSH's format. */
  hostKey: string
  authorizer: Pick<Authorizer, 'ask'>
  grants: Grants
  dialler: Dialler
  log: Log
  rate?: Rate
}

export interface SshListener extends AsyncDisposable {
  ports: readonly number[]
}

/** Who has not signed in by then is sent away; so is, at that age, who only came to hear why it cannot be reached. */
const signInMs = 30_000
const maxUnknown = 200
const maxConnections = 5_000
const maxChannels = 100
const defaultRate: Rate = { burst: 60, perSecond: 2 }

/** Serves SSH: the user name is a sandbox or an agent, the key says who asks. Nothing listens inside the sandbox. */
export async function listenSsh(deps: SshDeps): Promise<SshListener> {
  const sockets = new Set<Socket>()
  const unknown = new Set<Socket>()
  const buckets = tokenBuckets({ ...(deps.rate ?? defaultRate), maxKeys: 50_000, now: () => performance.now() })
  const admit = (socket: Socket): void => {
    socket.on('error', () => socket.destroy())
    const wait = buckets.take(networkOf((socket.remoteAddress ?? '').replace(/^::ffff:/, '')))
    if (wait > 0 || unknown.size >= maxUnknown || sockets.size >= maxConnections) return void socket.destroy()
    sockets.add(socket)
    unknown.add(socket)
    const late = setTimeout(() => {
      if (unknown.has(socket)) socket.destroy()
    }, signInMs)
    socket.once('close', () => {
      clearTimeout(late)
      sockets.delete(socket)
      unknown.delete(socket)
    })
    // One of the library's servers per connection: it tells its listeners nothing of the socket, which has to be cut at once.
    const server = new ssh2.Server({ hostKeys: [deps.hostKey], ident: 'slopbox' })
    server.on('connection', (client) => serve(deps, client, socket, () => unknown.delete(socket)))
    server.injectSocket(socket)
  }
  const servers: TcpServer[] = []
  const stop = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy()
    await Promise.all(servers.map((each) => new Promise<void>((resolve) => each.close(() => resolve()))))
  }
  try {
    for (const address of deps.addresses) {
      const each = createServer({ noDelay: true }, admit)
      servers.push(each)
      await bind(each, address)
    }
  } catch (error) {
    await stop()
    throw error
  }
  return { ports: servers.map((each) => (each.address() as AddressInfo).port), [Symbol.asyncDispose]: stop }
}

/** One client, from sign-in to the end of its connection. */
function serve(deps: SshDeps, client: Connection, socket: Socket, onKnown: () => void): void {
  const gone = new AbortController()
  socket.once('close', () => gone.abort())
  // What a broken client sends, or its leaving in the middle of something; the library closes the connection.
  client.on('error', (error) => deps.log.debug({ err: error }, 'SSH connection'))
  let arrival: Arrival | undefined
  answerSignIn(client, {
    ask: deps.authorizer.ask,
    gone: gone.signal,
    onTooMany: () => socket.destroy(),
    onArrival: (arrived) => {
      // It left while control was asked.
      if (socket.destroyed) return
      arrival = arrived
      if ('refusal' in arrived) return
      onKnown()
      const use = deps.grants.use(arrived.grant, () => socket.destroy())
      socket.once('close', () => use.release())
    },
  })
  let open = 0
  const free = (): void => void (open -= 1)
  client.on('session', (accept, reject) => {
    if (arrival === undefined || open >= maxChannels) return reject()
    open += 1
    const session = accept()
    session.once('close', free)
    serveSession(session, arrival, deps)
  })
  client.on('tcpip', (accept, reject, info) => {
    if (arrival === undefined || 'refusal' in arrival || open >= maxChannels) return reject()
    open += 1
    const accepted = (): ReturnType<typeof accept> => {
      const channel = accept()
      channel.once('close', free)
      return channel
    }
    const rejected = (): void => {
      free()
      reject()
    }
    void forwardPort({ ...deps, grant: arrival.grant, gone: gone.signal }, info, accepted, rejected)
  })
}
