import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { handleConnect } from './connect.ts'
import { createDns, type DnsListener } from './dns-server.ts'
import { createHttpFront, type HttpFront } from './http-front.ts'
import { createProxyAuth } from './proxy-auth.ts'
import { oncePerSecond, tame, type Services, type Who } from './services.ts'
import { createTlsFront } from './tls-front.ts'

export interface ListenAt {
  address: string
  http: number
  tls: number
  proxy: number
  dns: number
  central: { address: string; port: number } | null
}

export interface Listeners extends AsyncDisposable {
  /** Where they really listen; differs from what was asked when that was port 0. */
  ports: { http: number; tls: number; proxy: number; dns: number; central: number | null }
}

/** Opens all listeners, or none. */
export async function listen(services: Services, at: ListenAt): Promise<Listeners> {
  const front = createHttpFront(services, createProxyAuth(services.policies))
  const tls = createTlsFront(services, front)
  const open = new Set<Socket>()
  const door = createDoor(services, open)
  const report = (error: unknown): void => services.log.error({ err: error }, 'connection failed unexpectedly')
  front.onConnect = (connect) => {
    handleConnect(services, front, tls, connect).catch((error: unknown) => {
      report(error)
      connect.socket.destroy()
    })
  }
  const linked = { token: null, tls: false, authority: null }
  const servers = {
    http: door((socket, sandboxId) => front.take(socket, { ...linked, sandboxId, entry: 'direct' })),
    tls: door((socket, sandboxId) => {
      tls.direct(socket, sandboxId).catch((error: unknown) => {
        report(error)
        socket.destroy()
      })
    }),
    proxy: door((socket, sandboxId) => front.take(socket, { ...linked, sandboxId, entry: 'proxy' })),
    central: createCentral(services, front, open),
  }
  let dns: DnsListener | undefined
  const close = async (): Promise<void> => {
    const closed = Object.values(servers).map((server) => new Promise<void>((resolve) => server.close(() => resolve())))
    for (const socket of open) socket.destroy()
    front.close()
    tls.close()
    await Promise.all([...closed, dns?.[Symbol.asyncDispose]()])
  }
  try {
    const ports = {
      http: await bind(services, servers.http, at.http, at.address),
      tls: await bind(services, servers.tls, at.tls, at.address),
      proxy: await bind(services, servers.proxy, at.proxy, at.address),
      central: at.central && (await bind(services, servers.central, at.central.port, at.central.address)),
    }
    dns = await createDns(services, at.address, at.dns)
    return { ports: { ...ports, dns: dns.port }, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Step 1 for machines elsewhere: every request says who it is from, and a connection ends with the token it used. */
function createCentral(services: Services, front: HttpFront, open: Set<Socket>): Server {
  const proved = new Map<Socket, Who>()
  // Flows are told before, and say why; this ends what is between two of them: an idle tunnel or connection.
  services.policies.onChange(() => {
    for (const [socket, { sandboxId, token }] of proved)
      if (services.policies.getBy(sandboxId, token) === undefined) socket.destroy()
  })
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    open.add(tame(socket))
    socket.once('close', () => {
      open.delete(socket)
      proved.delete(socket)
    })
    const identified = (who: Who): void => void (socket.destroyed || proved.set(socket, who))
    front.take(socket, { sandboxId: null, token: null, entry: 'proxy', tls: false, authority: null, identified })
  })
  server.maxConnections = services.limits.centralConnections
  return server
}

/** Step 1, identify: lets in connections whose pair of addresses is a link, up to the limit of its sandbox. */
function createDoor(services: Services, open: Set<Socket>) {
  const counts = new Map<string, number>()
  const mayRecord = oncePerSecond()
  const turnAway = (socket: Socket, sandboxId: string | null): void => {
    socket.destroy()
    if (!mayRecord()) return
    const flow = services.flows.open({ kind: 'tunnel', sandboxId, detail: { from: socket.remoteAddress ?? '' } })
    flow.deny(sandboxId === null ? 'unidentified' : 'rate', null)
    flow.end()
  }
  return (enter: (socket: Socket, sandboxId: string) => void): Server =>
    createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      tame(socket)
      const sandboxId = services.identify.byPair(socket.localAddress, socket.remoteAddress)
      if (sandboxId === undefined) return turnAway(socket, null)
      const count = counts.get(sandboxId) ?? 0
      if (count >= services.limits.connectionsPerSandbox) return turnAway(socket, sandboxId)
      counts.set(sandboxId, count + 1)
      open.add(socket)
      socket.once('close', () => {
        open.delete(socket)
        const left = (counts.get(sandboxId) ?? 1) - 1
        if (left > 0) counts.set(sandboxId, left)
        else counts.delete(sandboxId)
      })
      enter(socket, sandboxId)
    })
}

function bind(services: Services, server: Server, port: number, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host: address, backlog: 1024 }, () => {
      server.off('error', reject)
      // Out of descriptors: libuv drops the connection and goes on; the sandboxes' own limits let go of some soon.
      server.on('error', (error) => services.log.error({ err: error }, 'accepting failed'))
      resolve((server.address() as AddressInfo).port)
    })
  })
}
