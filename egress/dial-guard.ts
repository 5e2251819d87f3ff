import { lookup } from 'node:dns/promises'
import { connect, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls'
import type { DenyReason } from '../contract/egress.ts'
import { classifyAddress, formatAddress, parseAddress, type Address, type Range } from '../core/address-ranges.ts'
import type { Host } from '../core/host-name.ts'

/** Addresses of a name, as text. Rejects when there are none. */
export type Resolve = (name: string) => Promise<string[]>

export interface DialRequest {
  host: Host
  port: number
  tls: boolean
  /** The rule's own permission to resolve to a reserved address. */
  allowReserved: boolean
  signal: AbortSignal
}

export type Dial = (request: DialRequest) => Promise<Socket | TLSSocket>

export interface DialGuardOptions {
  resolve: Resolve
  allowed: () => readonly Range[]
  context: () => SecureContext
  own?: () => readonly Address[]
  /** How to open a connection to a literal address; tests lead it elsewhere. */
  connect?: (address: string, port: number) => Socket
  timeouts?: { resolveMs: number; connectMs: number; tlsMs: number }
}

type DialReason = Extract<DenyReason, 'unresolvable' | 'address_refused' | 'connect_failed' | 'tls_failed'>

/** Why a dial failed. The message is for the log; it may name addresses and is never shown to a sandbox. */
export class DialError extends Error {
  override name = 'DialError'
  readonly reason: DialReason
  constructor(reason: DialReason, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.reason = reason
  }
}

/**
 * The system's own resolver (getaddrinfo): it honours /etc/hosts, resolv.conf and nsswitch, so names mean here what the
 * operator says they mean on this machine; c-ares would ignore the first and the last. It runs on libuv's threads, which
 * bounds how many slow names can be asked for at once.
 */
export const systemResolve: Resolve = async (name) =>
  (await lookup(name, { all: true, order: 'ipv4first' })).map(({ address }) => address)

const defaultTimeouts = { resolveMs: 3_000, connectMs: 10_000, tlsMs: 10_000 }

/** The one way out: resolve, judge every answer, connect to exactly a judged address. Nobody else resolves or connects. */
export function createDial(options: DialGuardOptions): Dial {
  const { resolveMs, connectMs, tlsMs } = options.timeouts ?? defaultTimeouts
  const own = options.own ?? ownAddresses()
  return async (request) => {
    const { host } = request
    const answers = host.kind === 'ip' ? [host.text] : await resolveWithin(options.resolve, host.text, resolveMs)
    const addresses = request.allowReserved
      ? answers.flatMap((text) => parseAddress(text) ?? [])
      : judge(host.text, answers, { allowed: options.allowed(), own: own() })
    if (addresses.length === 0) throw new DialError('unresolvable', `${host.text} has no address`)
    const socket = await connectFirst(addresses, request, connectMs, options.connect ?? connectLiteral)
    return request.tls ? await secure(socket, request, options.context(), tlsMs) : socket
  }
}

/**
 * Every answer must be acceptable. One refused address among public ones refuses the name: somebody who mixes them is
 * probing. Only where the operator allowed a range himself are the addresses in it used and the others left out.
 */
function judge(
  name: string,
  answers: readonly string[],
  around: { allowed: readonly Range[]; own: readonly Address[] },
) {
  const addresses = answers.map((text) => {
    const address = parseAddress(text)
    if (address === undefined) throw new DialError('address_refused', `${name} resolved to ${text}`)
    return { address, verdict: classifyAddress(address, around) }
  })
  const allowed = addresses.filter(({ verdict }) => verdict.action === 'allow' && verdict.because === 'allowed')
  if (allowed.length > 0) return allowed.map(({ address }) => address)
  for (const { address, verdict } of addresses)
    if (verdict.action === 'refuse')
      throw new DialError('address_refused', `${name} is ${formatAddress(address)}: ${verdict.range}`)
  return addresses.map(({ address }) => address)
}

async function resolveWithin(resolve: Resolve, name: string, ms: number): Promise<string[]> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`no answer in ${ms} ms`)), ms)
  try {
    return await Promise.race([resolve(name), late])
  } catch (cause) {
    throw new DialError('unresolvable', `${name} does not resolve`, cause)
  } finally {
    clearTimeout(timer)
  }
}

/** IPv4 first; each further address gets its turn within the common time. */
async function connectFirst(
  addresses: readonly Address[],
  request: DialRequest,
  ms: number,
  open: (address: string, port: number) => Socket,
): Promise<Socket> {
  const ordered = addresses.toSorted((a, b) => a.family - b.family).slice(0, 4)
  const share = Math.ceil(ms / ordered.length)
  let last: unknown
  for (const address of ordered) {
    try {
      return await connectTo(formatAddress(address), request, share, open)
    } catch (error) {
      last = error
      if (request.signal.aborted) break
    }
  }
  throw new DialError('connect_failed', `${request.host.text}:${request.port} does not answer`, last)
}

/** The address is a literal, so nothing here resolves names. */
const connectLiteral = (address: string, port: number): Socket =>
  connect({ host: address, port, allowHalfOpen: true, noDelay: true })

function connectTo(
  address: string,
  { port, signal }: DialRequest,
  ms: number,
  open: (address: string, port: number) => Socket,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = open(address, port)
    const give = (error: Error): void => {
      cleanUp()
      socket.on('error', () => {}).destroy()
      reject(error)
    }
    const abort = (): void => give(new Error('the client left'))
    const timer = setTimeout(() => give(new Error(`${address} did not answer in ${ms} ms`)), ms)
    const cleanUp = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      socket.off('error', give)
    }
    socket.on('error', give).once('connect', () => {
      cleanUp()
      // The owner adds its own listener; until then an error must not be nobody's.
      socket.on('error', () => {})
      resolve(socket)
    })
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort)
  })
}

function secure(socket: Socket, request: DialRequest, context: SecureContext, ms: number): Promise<TLSSocket> {
  const name = request.host.text
  return new Promise((resolve, reject) => {
    const tls = connectTls({
      socket,
      secureContext: context,
      host: name,
      ...(request.host.kind === 'name' ? { servername: name } : {}),
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: true,
    })
    const give = (cause: Error): void => {
      clearTimeout(timer)
      tls.on('error', () => {}).destroy()
      socket.destroy()
      reject(new DialError('tls_failed', `TLS with ${name}:${request.port} failed: ${cause.message}`, cause))
    }
    const timer = setTimeout(() => give(new Error(`no handshake in ${ms} ms`)), ms)
    const closed = (): void => give(new Error('closed during the handshake'))
    tls
      .on('error', give)
      .once('close', closed)
      .once('secureConnect', () => {
        clearTimeout(timer)
        tls
          .off('error', give)
          .off('close', closed)
          .on('error', () => {})
        resolve(tls)
      })
  })
}

/** Addresses of this machine's interfaces, looked up at most every two seconds. */
function ownAddresses(): () => readonly Address[] {
  let known: readonly Address[] = []
  let until = 0
  return () => {
    if (performance.now() < until) return known
    until = performance.now() + 2_000
    known = Object.values(networkInterfaces()).flatMap((list) =>
      (list ?? []).flatMap(({ address }) => parseAddress(address) ?? []),
    )
    return known
  }
}
