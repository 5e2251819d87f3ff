/** What the gateway's tests stand in: control on a Unix socket, a host with a tunnel, and a server inside a sandbox. */
import { createServer, request } from 'node:http'
import type { IncomingMessage, OutgoingHttpHeaders, RequestListener, ServerResponse } from 'node:http'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile, mkdir } from 'node:fs/promises'
import { connect } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { SlopboxError } from '../contract/errors.ts'
import type { AuditRecord } from '../contract/egress.ts'
import { newId } from '../contract/ids.ts'
import { tunnelProtocol } from '../contract/tunnel.ts'
import { silentLog } from '../lib/log.ts'
import { serveTunnel } from '../lib/tunnel.ts'
import type { TunnelHandler } from '../lib/tunnel.ts'
import { requestUpgrade } from '../lib/upgrade.ts'
import { testAuthority } from './authority.fixture.ts'
import type { Question } from './authorize.ts'
import type { Grant } from './grants.ts'
import { startGateway } from './main.ts'
import type { GatewayDeps } from './main.ts'
import { defaultRates } from './rate-limit.ts'

export const ids = { agent: newId('agent'), sandbox: newId('sandbox'), host: newId('host'), user: newId('user') }
export const scopes = 'operator.read,operator.write,operator.questions'

type SyncBody = {
  grants: string[]
  audit: AuditRecord[]
  readings: { meter: string; total: number; sandboxId: string }[]
}

/** Control as the gateway sees it. */
export interface FakeControl extends AsyncDisposable {
  socketPath: string
  /** Answers to `authorize`; throws to refuse. */
  onAuthorize: (question: Question) => Grant
  /** Answers every public path. */
  onPublic: RequestListener
  /** Grants to call ended from the next exchange on. */
  ended: Set<string>
  audit: AuditRecord[]
  syncs: SyncBody[]
  /** Resolves once the condition holds; it is tried after every exchange. */
  until(condition: () => boolean): Promise<void>
  notify(): void
  close(): Promise<void>
}

export const grantFor = (question: Question, sessionId: string | null = 'session-1'): Grant => ({
  grantId: newId('grant'),
  userId: ids.user,
  sessionId,
  sandboxId: ids.sandbox,
  agentId: ids.agent,
  hostId: ids.host,
  runtime: 'openclaw',
  port: question.target.kind === 'agent-ui' ? 18789 : null,
  headers: question.target.kind === 'agent-ui' ? { 'X-Forwarded-User': ids.user, 'x-openclaw-scopes': scopes } : {},
})

/** Knows one agent and one sandbox, and takes the cookie or session `session-1` and the key `key-1`. */
export function ownerOnly(question: Question): Grant {
  const { credentials, target } = question
  const known =
    credentials.sessionId === 'session-1' ||
    credentials.cookie?.includes('app=session-1') === true ||
    credentials.authorization === 'Bearer key-1' ||
    credentials.apiKey === 'key-1'
  if (!known) throw new SlopboxError('unauthenticated', 'not signed in')
  const id = target.kind === 'sandbox' ? target.sandboxId : target.agentId
  if (id !== ids.agent && id !== ids.sandbox) throw new SlopboxError('not_found', 'no such target')
  const byKey = credentials.authorization !== undefined || credentials.apiKey !== undefined
  return grantFor(question, byKey ? null : 'session-1')
}

export async function fakeControl(directory: string): Promise<FakeControl> {
  const socketPath = join(directory, 'control.sock')
  const held = new Set<ServerResponse>()
  const waiting = new Set<() => void>()
  const server = createServer((incoming, response) => {
    answerControl(control, held, waiting, incoming, response).catch((error: unknown) =>
      response.destroy(error as Error),
    )
  })
  server.listen(socketPath)
  await once(server, 'listening')
  const control: FakeControl = {
    socketPath,
    onAuthorize: ownerOnly,
    onPublic: (incoming, response) => void response.end(JSON.stringify({ path: incoming.url })),
    ended: new Set(),
    audit: [],
    syncs: [],
    notify() {
      for (const response of held) response.end(syncReply(control))
      held.clear()
    },
    until: (condition) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!condition()) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      }),
    async close() {
      server.close()
      server.closeAllConnections()
      await rm(socketPath, { force: true })
    },
    [Symbol.asyncDispose]: () => control.close(),
  }
  return control
}

const syncReply = (control: FakeControl): string =>
  JSON.stringify({ hash: [...control.ended].join(','), ended: [...control.ended] })

async function answerControl(
  control: FakeControl,
  held: Set<ServerResponse>,
  waiting: Set<() => void>,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (!incoming.url?.startsWith('/internal/')) return control.onPublic(incoming, response)
  if (incoming.headers.authorization !== 'Bearer gateway-token') return void response.writeHead(401).end('{}')
  const chunks: Buffer[] = []
  for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk)
  const body: unknown = JSON.parse(Buffer.concat(chunks).toString())
  if (incoming.url === '/internal/gateway/authorize') {
    try {
      response.end(JSON.stringify(control.onAuthorize(body as Question)))
    } catch (error) {
      const known = error as SlopboxError
      response.writeHead(known.status).end(JSON.stringify(known.toWire()))
    }
    return
  }
  const sync = body as SyncBody & { hash: string | null; holdMs: number }
  control.syncs.push(sync)
  control.audit.push(...sync.audit)
  for (const look of waiting) look()
  if (sync.holdMs === 0 || sync.hash !== [...control.ended].join(',')) return void response.end(syncReply(control))
  held.add(response)
  response.once('close', () => held.delete(response))
}

/** Ports at which nothing listens; all others lead to the inner server. */
export const closedPorts = new Set(['9'])

/** Serves `/dial` to the inner server, and whatever else is given. */
export function fakeHost(
  socketPath: string,
  innerPort: () => number,
  others: Record<string, TunnelHandler> = {},
  hostId: string = ids.host,
) {
  return requestUpgrade({
    socketPath,
    path: '/internal/tunnel',
    protocol: tunnelProtocol,
    headers: { authorization: 'Bearer host-token', 'x-slopbox-host': hostId },
    signal: AbortSignal.timeout(10_000),
  }).then((socket) =>
    serveTunnel(socket, async (stream, headers) => {
      const path = String(headers[':path'])
      const other = others[path.split('?', 1)[0] ?? '']
      if (other !== undefined) return await other(stream, headers)
      const port = String(headers['x-slopbox-port'])
      if (closedPorts.has(port)) throw new SlopboxError('upstream_failed', `port ${port}: connection refused`)
      const inner = connect(innerPort(), '127.0.0.1')
      await once(inner, 'connect')
      stream.respond({ ':status': 200 })
      await Promise.allSettled([pipeline(stream, inner), pipeline(inner, stream)])
    }),
  )
}

export interface World extends AsyncDisposable {
  control: FakeControl
  port: number
  sshPort: number
  domain: string
  directory: string
  dataDir: string
  authority: string
  socketPath: string
  /** Requests that reached the server inside the sandbox. */
  seen: IncomingMessage[]
  /** Sockets of accepted upgrades are handed here. */
  onUpgrade: (request: IncomingMessage, socket: Socket, head: Buffer) => void
  onInner: RequestListener
}

export async function startWorld(
  options: { others?: Record<string, TunnelHandler>; deps?: Partial<GatewayDeps> } = {},
): Promise<World> {
  const stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'slopbox-gateway-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const consoleDir = join(directory, 'console')
  await mkdir(join(consoleDir, 'assets'), { recursive: true })
  await writeFile(join(consoleDir, 'index.html'), '<!doctype html><script>go()</script><h1>Console</h1>')
  await writeFile(join(consoleDir, 'assets', 'app-1a2b3c.js'), 'export {}')
  await writeFile(join(directory, 'outside.txt'), 'not for the public')
  const control = stack.use(await fakeControl(directory))
  const authority = await testAuthority()
  const domain = 'slopbox.localhost'
  const socketPath = join(directory, 'gateway.sock')
  const dataDir = join(directory, 'data')
  const gateway = stack.use(
    await startGateway({
      control: { socketPath: control.socketPath, token: 'gateway-token' },
      socketPath,
      dataDir,
      domain,
      addresses: [{ host: '127.0.0.1', port: 0 }],
      sshAddresses: [{ host: '127.0.0.1', port: 0 }],
      consoleDir,
      authority: authority.certificate,
      authorityKey: authority.key,
      cookieKey: Buffer.from('cookie-key'),
      hostToken: 'host-token',
      controlToken: 'control-token',
      rates: defaultRates,
      graceMs: 60_000,
      tunnelPatienceMs: 100,
      log: silentLog,
      ...options.deps,
    }),
  )
  const world: World = {
    control,
    port: gateway.ports[0] ?? 0,
    sshPort: gateway.sshPorts[0] ?? 0,
    domain,
    directory,
    dataDir,
    socketPath,
    authority: authority.certificate,
    seen: [],
    onUpgrade: (_request, socket) => void socket.destroy(),
    onInner: (_request, response) => void response.end('from inside'),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
  const inner = createServer((incoming, response) => {
    world.seen.push(incoming)
    world.onInner(incoming, response)
  })
  inner.on('upgrade', (incoming: IncomingMessage, socket: Socket, head: Buffer) => {
    world.seen.push(incoming)
    world.onUpgrade(incoming, socket, head)
  })
  inner.listen(0, '127.0.0.1')
  await once(inner, 'listening')
  stack.defer(() => {
    inner.close()
    inner.closeAllConnections()
  })
  stack.use(await fakeHost(socketPath, () => (inner.address() as AddressInfo).port, options.others))
  return world
}

export interface Answer {
  status: number
  headers: IncomingMessage['headers']
  text: string
}

/** One request to the listener under the given Host. */
export async function ask(
  world: World,
  host: string,
  path: string,
  options: { method?: string; headers?: OutgoingHttpHeaders; body?: string } = {},
): Promise<Answer> {
  const call = request({
    port: world.port,
    host: '127.0.0.1',
    method: options.method ?? 'GET',
    path,
    agent: false,
    headers: { ...options.headers, host },
  })
  call.end(options.body)
  const [response] = (await once(call, 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) text += chunk
  return { status: response.statusCode ?? 0, headers: response.headers, text }
}

/** Bytes as they are, and everything that comes back until the connection closes. */
export async function raw(world: World, text: string): Promise<string> {
  const socket = connect(world.port, '127.0.0.1')
  socket.write(text)
  let answer = ''
  for await (const chunk of socket.setEncoding('latin1') as AsyncIterable<string>) answer += chunk
  return answer
}

export const navigation = { accept: 'text/html', 'sec-fetch-mode': 'navigate' }

/** Walks the hand-over and gives back the cookie of the place's own origin. */
export async function openPlace(world: World, appPath: string, host: string): Promise<string> {
  const left = await ask(world, world.domain, appPath, { headers: { cookie: 'app=session-1', ...navigation } })
  const entry = new URL(left.headers.location ?? '')
  const entered = await ask(world, host, entry.pathname + entry.search, { headers: navigation })
  return entered.headers['set-cookie']?.[0]?.split(';', 1)[0] ?? ''
}
