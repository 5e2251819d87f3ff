import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { answerDns, type DnsAnswer } from './dns-answer.ts'
import { tame, type Services } from './services.ts'

export interface DnsListener extends AsyncDisposable {
  port: number
}

/** Listens for sandboxes' DNS on UDP and TCP (RFC 7766) at the same port. Unknown senders get no answer. */
export async function createDns(services: Services, address: string, port: number): Promise<DnsListener> {
  const record = createRecorder(services)
  const within = createRate(services.limits.dnsPerSecond)
  const handle = (packet: Buffer, sandboxId: string): Buffer | null => {
    if (!within(sandboxId)) return null
    const answer = answerDns(packet, services.policies.get(sandboxId))
    record(sandboxId, answer.asked)
    return answer.reply
  }
  const udp = createSocket('udp4')
  udp.on('message', (packet, from) => {
    const sandboxId = services.identify.bySource(from.address)
    const reply = sandboxId === undefined ? null : handle(packet, sandboxId)
    if (reply !== null) udp.send(reply, from.port, from.address, () => {})
  })
  const sockets = new Set<Socket>()
  const tcp = createServer((socket) => {
    tame(socket)
    const sandboxId = services.identify.byPair(socket.localAddress, socket.remoteAddress)
    if (sandboxId === undefined || sockets.size >= 1_000) return void socket.destroy()
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.setTimeout(10_000, () => socket.destroy())
    readMessages(socket, (packet) => handle(packet, sandboxId))
  })
  const bound = await bindBoth(services, udp, tcp, address, port)
  return {
    port: bound,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await Promise.all([
        new Promise<void>((resolve) => udp.close(() => resolve())),
        new Promise<void>((resolve) => tcp.close(() => resolve())),
      ])
    },
  }
}

/** UDP picks the port when any will do; TCP must then get the same one. */
async function bindBoth(
  { log }: Services,
  udp: UdpSocket,
  tcp: ReturnType<typeof createServer>,
  address: string,
  port: number,
): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    udp.once('error', reject).bind({ address, port }, () => {
      udp.off('error', reject).on('error', (error) => log.error({ err: error }, 'DNS socket failed'))
      resolve()
    })
  })
  const bound = udp.address().port
  try {
    await new Promise<void>((resolve, reject) => {
      tcp.once('error', reject).listen({ port: bound, host: address }, () => {
        tcp.off('error', reject).on('error', (error) => log.error({ err: error }, 'accepting DNS failed'))
        resolve()
      })
    })
  } catch (error) {
    udp.close()
    throw error
  }
  return (tcp.address() as AddressInfo).port
}

/** Each message has two bytes of length before it (RFC 1035 §4.2.2). */
function readMessages(socket: Socket, handle: (packet: Buffer) => Buffer | null): void {
  let pending: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk])
    while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
      const end = 2 + pending.readUInt16BE(0)
      const reply = handle(pending.subarray(2, end))
      pending = pending.subarray(end)
      if (reply === null) return void socket.destroy()
      const length = Buffer.alloc(2)
      length.writeUInt16BE(reply.length)
      socket.write(Buffer.concat([length, reply]))
    }
  })
  socket.once('end', () => socket.end())
}

/** At most `perSecond` for each key in any one second of the clock. */
function createRate(perSecond: number): (key: string) => boolean {
  let counts = new Map<string, number>()
  let until = 0
  return (key) => {
    if (performance.now() >= until) {
      counts = new Map()
      until = performance.now() + 1_000
    }
    const count = (counts.get(key) ?? 0) + 1
    counts.set(key, count)
    return count <= perSecond
  }
}

/**
 * One record for a name and its verdict in ten minutes, and not more than 500 names of a sandbox in that time: programs
 * ask again and again, and made-up names without end must not fill the disk.
 */
function createRecorder({ flows }: Services): (sandboxId: string, asked: DnsAnswer['asked']) => void {
  let seen = new Map<string, Set<string>>()
  let until = 0
  return (sandboxId, asked) => {
    if (asked === null) return
    if (performance.now() >= until) {
      seen = new Map()
      until = performance.now() + 600_000
    }
    const names = seen.get(sandboxId) ?? new Set()
    seen.set(sandboxId, names)
    const entry = `${asked.known} ${asked.name}`
    if (names.has(entry) || names.size > 500) return
    names.add(entry)
    // The last record of the period says that there would be more.
    const detail = { type: asked.type, ...(names.size > 500 ? { more: true } : {}) }
    const flow = flows.open({ kind: 'dns', sandboxId, host: asked.name, detail })
    if (!asked.known) flow.deny(flow.policy === undefined ? 'no_policy' : 'no_rule', null)
    flow.end()
  }
}
