import 'reflect-metadata'
import { createCipheriv, createHash, generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import * as x509 from '@peculiar/x509'
import type { AuditRecord } from '../contract/egress.ts'
import { SlopboxError } from '../contract/errors.ts'
import type { EgressPolicy, PolicySecret, Reading, SealedSecret } from '../contract/sync.ts'
import { silentLog, type Log } from '../lib/log.ts'
import { startEgress, type Egress } from './main.ts'
import type { Limits } from './services.ts'
import type { SyncAnswer } from './sync.ts'

/** A whole egress process on loopback, between a played control and played servers of the outside world. */
export interface World {
  egress: Egress
  /** Directory of spool and counters. */
  directory: string
  /** PEM of the CA that intercepts; clients inside trust it. */
  caPem: string
  /** PEM of the root under which the outside world's servers have their certificates. */
  rootPem: string
  /** What the world's names resolve to; change it at will. Every `example` name leads to the played servers. */
  names: Map<string, string[]>
  /** Names that were really resolved. */
  resolved: string[]
  /** Everything that was dialled, as address:port. */
  dialled: string[]
  /** Records that control has been told, in order. */
  audit: AuditRecord[]
  readings: Reading[]
  logged: string[]
  sandbox: { id: string; agentId: string; address: string }
  /** Replaces the sandbox's policy and resolves when it is in force. */
  allow(policy: Partial<EgressPolicy>, rest?: Partial<SyncAnswer>): Promise<void>
  /** Makes control unreachable, or reachable again. */
  control(up: boolean): void
  /** Opens a connection from the sandbox's address. */
  dial(listener: 'http' | 'tls' | 'proxy', from?: string): Socket
  /** The record that fits; waits until control has it. */
  recorded(fits: (record: AuditRecord) => boolean): Promise<AuditRecord>
  /** Sum of a meter's readings, once control has at least `least`. */
  metered(meter: Reading['meter'], least: number): Promise<number>
  seal(name: string, value: string, hosts: PolicySecret['hosts'], more?: Partial<PolicySecret>): PolicySecret
}

export interface WorldOptions {
  /** Answers plain HTTP at `outside`:80 and TLS at `outside`:443. */
  handler?: RequestListener
  limits?: Partial<Limits>
  /** Prepares the played servers, for upgrades and the like. */
  prepare?: (server: Server) => void
  validMs?: number
}

/** The public address of the played servers. */
export const outside = '93.184.216.34'
export const rule = (host: string, port: number | null = null): EgressPolicy['rules'][number] => ({
  id: `er:${host}:${port ?? ''}`,
  host,
  port,
  allowReserved: false,
})

const outsideNames = ['ok', 'a', 'b', 'api', 'other', 'slow'].map((label) => `${label}.example`)

export async function createWorld(t: TestContext, options: WorldOptions = {}): Promise<World> {
  const directory = mkdtempSync(join(tmpdir(), 'egress-'))
  const [ca, root] = await Promise.all([createAuthority('Slopbox test CA'), createAuthority('Outside root')])
  const servers = await playOutside(root, options)
  const sandbox = { id: 'sb0123456789abcdef', agentId: 'ag0123456789abcdef', address: '127.0.0.2' }
  const networkFile = join(directory, 'network.json')
  writeFileSync(
    networkFile,
    JSON.stringify({
      links: [{ sandboxId: sandbox.id, interface: 'v1', hostAddress: '127.0.0.1', sandboxAddress: sandbox.address }],
    }),
  )
  const masterKey = randomBytes(32)
  const names = new Map<string, string[]>()
  const resolved: string[] = []
  const dialled: string[] = []
  const control = playControl(options.validMs ?? 60_000)
  const { log, logged } = recordLog()
  const egress = await startEgress({
    dataDirectory: directory,
    networkFile,
    listenAt: { address: '127.0.0.1', http: 0, tls: 0, proxy: 0, dns: 0, central: { address: '127.0.0.1', port: 0 } },
    callControl: (body, signal) => control.call(body, signal),
    masterKey,
    caPem: ca.pem,
    caKeyPem: ca.keyPem,
    machineRoots: root.pem,
    log,
    reportEveryMs: 10,
    resolve: async (name) => {
      resolved.push(name)
      const known = names.get(name) ?? (name.endsWith('.example') ? [outside] : [])
      if (known.length === 0) throw new Error('ENOTFOUND')
      return known
    },
    connect: (address, port) => {
      dialled.push(`${address}:${port}`)
      const to = address === outside ? ({ 80: servers.http, 443: servers.https }[port] ?? port) : port
      return connect({ host: '127.0.0.1', port: to, allowHalfOpen: true, noDelay: true })
    },
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  })
  t.after(async () => {
    await egress[Symbol.asyncDispose]()
    servers.close()
    rmSync(directory, { recursive: true })
  })
  return {
    egress,
    directory,
    caPem: ca.pem,
    rootPem: root.pem,
    names,
    resolved,
    dialled,
    audit: control.audit,
    readings: control.readings,
    logged,
    sandbox,
    allow: (policy, rest) =>
      control.set({ ...emptyPolicy(sandbox.id, sandbox.agentId), ...policy, sandboxId: sandbox.id }, rest),
    control: (up) => control.up(up),
    dial(listener, from = sandbox.address) {
      const socket = connect({ host: '127.0.0.1', port: egress.ports[listener], localAddress: from })
      return socket.on('error', () => {})
    },
    recorded: (fits) => control.until(() => control.audit.find(fits)),
    metered: (meter, least) =>
      control.until(() => {
        const latest = new Map(control.readings.filter((r) => r.meter === meter).map((r) => [r.epoch, r.total]))
        const sum = [...latest.values()].reduce((a, b) => a + b, 0)
        return sum >= least ? sum : undefined
      }),
    seal: (name, value, hosts, more = {}) => ({
      id: `sc${name}`,
      name,
      hosts,
      header: 'authorization',
      format: 'Bearer {value}',
      placeholder: `placeholder-${name}`,
      sealed: sealWith(masterKey, `sc${name}`, value),
      ...more,
    }),
  }
}

export const emptyPolicy = (sandboxId: string, agentId: string): EgressPolicy => ({
  sandboxId,
  agentId,
  teamId: null,
  rules: [],
  secrets: [],
  aliases: [],
  proxyTokenHash: null,
  exhausted: false,
})

function playControl(validMs: number) {
  const audit: AuditRecord[] = []
  const readings: Reading[] = []
  let answer: SyncAnswer = { hash: '0', policies: [], allowedRanges: [], extraRoots: '', validMs }
  let up = true
  /** Hash each caller last came with: it has applied that one. */
  let applied = ''
  const waiting = new Set<() => void>()
  const tell = (): void => {
    for (const wake of waiting) wake()
  }
  const change = (signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const wake = (): void => {
        waiting.delete(wake)
        resolve()
      }
      waiting.add(wake)
      signal?.addEventListener('abort', wake, { once: true })
    })
  const until = async <T>(look: () => T | undefined): Promise<T> => {
    for (;;) {
      const found = look()
      if (found !== undefined) return found
      await change()
    }
  }
  return {
    audit,
    readings,
    until,
    up(now: boolean) {
      up = now
      tell()
    },
    async call(
      body: { hash: string | null; holdMs?: number | undefined; readings: Reading[]; audit: AuditRecord[] },
      signal: AbortSignal,
    ): Promise<SyncAnswer> {
      if (!up) throw new SlopboxError('unavailable', 'control is down')
      audit.push(...body.audit)
      readings.push(...body.readings)
      applied = body.hash ?? ''
      tell()
      const held = AbortSignal.any([signal, AbortSignal.timeout(body.holdMs ?? 25_000)])
      while (body.holdMs !== 0 && body.hash === answer.hash && up && !held.aborted) await change(held)
      if (!up || signal.aborted) throw new SlopboxError('unavailable', 'no answer')
      return answer
    },
    async set(policy: EgressPolicy, rest: Partial<SyncAnswer> = {}): Promise<void> {
      const hash = String(Number(answer.hash) + 1)
      answer = { ...answer, policies: [policy], ...rest, hash }
      tell()
      await until(() => (applied === hash ? true : undefined))
    },
  }
}

function recordLog(): { log: Log; logged: string[] } {
  const logged: string[] = []
  const write = (fields: object, message: string): void => {
    const error =
      'err' in fields && fields.err instanceof Error ? `${fields.err.stack} ${String(fields.err.cause)}` : ''
    logged.push(`${message} ${JSON.stringify(fields)} ${error}`)
  }
  const log: Log = { ...silentLog, debug: write, info: write, warn: write, error: write, child: () => log }
  return { log, logged }
}

async function playOutside(root: Authority, { handler, prepare }: WorldOptions) {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const answer: RequestListener = handler ?? ((_req, res) => res.end('hello from outside'))
  const cert = await root.issue(key.publicKey.export({ type: 'spki', format: 'der' }), outsideNames)
  const tls = createHttpsServer({ cert, key: key.privateKey.export({ type: 'pkcs8', format: 'pem' }) }, answer)
  const plain = createHttpServer(answer)
  const ports = await Promise.all(
    [plain, tls].map(async (server) => {
      prepare?.(server)
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return (server.address() as AddressInfo).port
    }),
  )
  return {
    http: ports[0] ?? 0,
    https: ports[1] ?? 0,
    close() {
      for (const server of [plain, tls]) {
        server.closeAllConnections()
        server.close()
      }
    },
  }
}

export interface Authority {
  pem: string
  keyPem: string
  issue(spki: Buffer, names: string[]): Promise<string>
}

export async function createAuthority(name: string): Promise<Authority> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const day = 86_400_000
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys,
    notBefore: new Date(Date.now() - day),
    notAfter: new Date(Date.now() + day),
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey))
  return {
    pem: ca.toString('pem'),
    keyPem: `-----BEGIN PRIVATE KEY-----\n${der.toString('base64')}\n-----END PRIVATE KEY-----\n`,
    async issue(spki, names) {
      const publicKey = await crypto.subtle.importKey('spki', new Uint8Array(spki), algorithm, true, ['verify'])
      const leaf = await x509.X509CertificateGenerator.create({
        subject: 'CN=server',
        issuer: ca.subject,
        notBefore: new Date(Date.now() - day),
        notAfter: new Date(Date.now() + day),
        publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: algorithm,
        extensions: [new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns' as const, value })))],
      })
      return leaf.toString('pem')
    },
  }
}

/** As control seals: the agreed format written a second time, so that a change on either side is noticed. */
function sealWith(masterKey: Buffer, aad: string, value: string): SealedSecret {
  const encrypt = (key: Buffer, iv: Buffer, context: string, data: Buffer): Buffer => {
    const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(context))
    return Buffer.concat([cipher.update(data), cipher.final(), cipher.getAuthTag()])
  }
  const [dataKey, wrapIv, iv] = [randomBytes(32), randomBytes(12), randomBytes(12)]
  return {
    keyId: createHash('sha256').update(masterKey).digest('hex').slice(0, 16),
    wrappedKey: Buffer.concat([wrapIv, encrypt(masterKey, wrapIv, 'slopbox/secret-key/v1', dataKey)]).toString(
      'base64',
    ),
    iv: iv.toString('base64'),
    data: encrypt(dataKey, iv, aad, Buffer.from(value)).toString('base64'),
  }
}

/** Everything a socket receives until it ends. */
export async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  return await new Promise((resolve) => {
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('error', () => {})
    socket.once('close', () => resolve(Buffer.concat(chunks).toString('latin1')))
    socket.once('end', () => socket.end())
    socket.resume()
  })
}

/** Reads until the text fits; fails when the socket closes before. */
export function readUntil(socket: Socket, fits: (text: string) => boolean): Promise<string> {
  let text = ''
  return new Promise((resolve, reject) => {
    const look = (chunk: Buffer): void => {
      text += chunk.toString('latin1')
      if (!fits(text)) return
      socket.off('data', look).off('close', fail)
      socket.pause()
      resolve(text)
    }
    const fail = (): void => reject(new Error(`closed after: ${text}`))
    socket.on('data', look).once('close', fail)
    socket.resume()
  })
}
