import type { IncomingHttpHeaders } from 'node:http'
import fastify from 'fastify'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import { SlopboxError } from '../contract/errors.ts'
import { newId } from '../contract/ids.ts'
import type { Access, Input, Output, Route } from '../contract/route.ts'
import { describeFailure, issuesToText, refuseUnstorable } from './faults.ts'
import type { Log } from './log.ts'
import { once } from './replies.ts'
import type { ReplyStore } from './replies.ts'
import { sendEvents } from './server-events.ts'

/** What a resolver of callers may look at. */
export interface RequestHead {
  method: string
  /** Without the query. */
  path: string
  headers: IncomingHttpHeaders
  requestId: string
  access: Access
}

/** What a handler gets besides the parsed input. `signal` aborts when the caller is gone. */
export interface Context<C> {
  caller: C
  requestId: string
  headers: IncomingHttpHeaders
  signal: AbortSignal
  /** Adds a header to a successful reply; repeated names add up. */
  replyHeader: (name: string, value: string) => void
}

export type Authenticate<C> = (head: RequestHead) => Promise<C>
export type Handler<R, C> = (input: Input<R> & Context<C>) => Promise<Output<R>>
/** Failures before it resolves are answered as JSON; later ones end the stream with an `error` event. */
export type StreamHandler<R, C> = (input: Input<R> & Context<C>) => Promise<AsyncIterable<Output<R>>>

export interface App<C> extends AsyncDisposable {
  /** For `listen` and `inject`; nothing else may be registered on it. */
  server: FastifyInstance
  authenticate: Authenticate<C>
  replies: ReplyStore<C>
  log: Log
  explain?: (error: unknown) => SlopboxError | undefined
}

export interface AppOptions<C> {
  authenticate: Authenticate<C>
  replies: ReplyStore<C>
  log: Log
  /** Makes known failures of what handlers depend on into ones a caller can act on; undefined: a bug. */
  explain?: (error: unknown) => SlopboxError | undefined
}

export function createApp<C>(options: AppOptions<C>): App<C> {
  const server = fastify({
    logger: false,
    genReqId: ({ headers }) => givenRequestId(headers) ?? newId('request'),
    bodyLimit: 1024 * 1024,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 300 },
    // Addresses the router gives up on never reach the handlers below.
    frameworkErrors: (error, request, reply) => void sendError(reply, asSlopboxError(error), request.id),
  })
  server.removeAllContentTypeParsers()
  server.addContentTypeParser(
    'application/json',
    { parseAs: 'string' },
    async (_request: FastifyRequest, text: string) => (text === '' ? undefined : parseJson(text)),
  )
  server.addHook('onRequest', async (request, reply) => void reply.header('x-request-id', request.id))
  server.addHook('onResponse', async (request, reply) =>
    options.log.debug(
      { requestId: request.id, method: request.method, path: pathOf(request), status: reply.statusCode },
      'answered',
    ),
  )
  server.setNotFoundHandler(async (request, reply) =>
    sendError(
      reply,
      new SlopboxError('not_found', `no such operation: ${request.method} ${pathOf(request)}`),
      request.id,
    ),
  )
  server.setErrorHandler(async (error, request, reply) => {
    const known = options.explain?.(error) ?? asSlopboxError(error)
    if (known.status === 500 || known.status === 503)
      options.log.error(
        { requestId: request.id, route: request.routeOptions.url, failure: describeFailure(error) },
        'request failed',
      )
    return sendError(reply, known, request.id)
  })
  return { server, ...options, [Symbol.asyncDispose]: () => server.close() }
}

export interface MountOptions {
  bodyLimit?: number
}

/** Mounts an operation whose caller the app's resolver finds. */
export function mount<R extends Route, C>(
  app: App<C>,
  route: R,
  handler: Handler<R, C>,
  options: MountOptions = {},
): void {
  mountJson(app, route, app.authenticate, options, async (input, reply) => {
    const key = input.headers['idempotency-key']
    const run = async (): Promise<unknown> => route.reply.parse(await handler(input))
    if (route.method !== 'POST' || key === undefined) return reply.code(route.status).send(await run())
    const { status, value } = await once(app.replies, input, route, String(key), run)
    return reply.code(status).send(value)
  })
}

/** Mounts an operation that anyone may call, or whose caller somebody else than the app's resolver knows. */
export function mountAs<R extends Route, A, C>(
  app: App<C>,
  route: R,
  authenticate: Authenticate<A>,
  handler: Handler<R, A>,
  options: MountOptions = {},
): void {
  mountJson(app, route, authenticate, options, async (input, reply) =>
    reply.code(route.status).send(await handler(input)),
  )
}

/** Mounts an operation that answers with server-sent events. */
export function mountStream<R extends Route, C>(app: App<C>, route: R, handler: StreamHandler<R, C>): void {
  mountJson(app, route, app.authenticate, {}, async (input, reply) => {
    const events = await handler(input)
    reply.hijack()
    reply.raw.writeHead(route.status, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
      'x-request-id': input.requestId,
    })
    await sendEvents(reply.raw, events, input.signal, (error) => {
      const known = app.explain?.(error) ?? asSlopboxError(error)
      if (known.code === 'internal')
        app.log.error(
          { requestId: input.requestId, route: route.path, failure: describeFailure(error) },
          'stream failed',
        )
      return known.toWire(input.requestId)
    })
  })
}

/** Hands every request under `path` to a function of the Fetch standard. Bodies are passed as bytes. */
export function mountFetch<C>(
  app: App<C>,
  mounted: { methods: ('GET' | 'POST')[]; path: string; origin: string },
  handler: (request: Request) => Promise<Response> | Response,
): void {
  app.server.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, async (_request: FastifyRequest, body: Buffer) => body)
    scope.route({
      method: mounted.methods,
      url: mounted.path,
      handler: async (request, reply) => {
        const headers = new Headers()
        for (const [name, value] of Object.entries(request.headers))
          for (const each of [value ?? []].flat()) headers.append(name, each)
        const body = Buffer.isBuffer(request.body) && request.body.length > 0 ? new Uint8Array(request.body) : null
        const response = await handler(
          new Request(new URL(request.url, mounted.origin), { method: request.method, headers, body }),
        )
        for (const [name, value] of response.headers) reply.header(name, value)
        return reply.code(response.status).send(Buffer.from(await response.arrayBuffer()))
      },
    })
  })
}

function mountJson<R extends Route, A, C>(
  app: App<C>,
  route: R,
  authenticate: Authenticate<A>,
  options: MountOptions,
  handle: (input: Input<R> & Context<A>, reply: FastifyReply) => Promise<unknown>,
): void {
  app.server.route({
    method: route.method,
    url: route.path,
    ...options,
    // Who asks is settled before a body is read: strangers cannot make us parse.
    onRequest: async (request) => {
      callers.set(request, await authenticate(headOf(request, route.access)))
    },
    handler: async (request, reply) => {
      const input = {
        params: parse('path', route.params, request.params),
        query: parse('query', route.query, request.query),
        body: parse('body', route.body, request.body ?? {}),
        ...contextOf(request, reply, callers.get(request) as A),
      }
      return await handle(input as Input<R> & Context<A>, reply)
    },
  })
}

/** The id under which the gateway has logged the request already; it lets no client set this header. */
function givenRequestId(headers: IncomingHttpHeaders): string | undefined {
  const given = headers['x-slopbox-request-id']
  return typeof given === 'string' && /^rq[a-z0-9]{16}$/.test(given) ? given : undefined
}

const callers = new WeakMap<FastifyRequest, unknown>()

function headOf(request: FastifyRequest, access: Access): RequestHead {
  return { method: request.method, path: pathOf(request), headers: request.headers, requestId: request.id, access }
}

function contextOf<A>(request: FastifyRequest, reply: FastifyReply, caller: A): Context<A> {
  const gone = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableEnded) gone.abort()
  })
  return {
    caller,
    requestId: request.id,
    headers: request.headers,
    signal: gone.signal,
    replyHeader: (name, value) => void reply.header(name, value),
  }
}

function parse(part: 'path' | 'query' | 'body', schema: z.ZodType, value: unknown): unknown {
  if (part !== 'body') refuseUnstorable(part, value)
  const result = schema.safeParse(value)
  if (result.success) return result.data
  // What no id can look like is as unknown as an id that nobody has.
  const code = part === 'path' ? 'not_found' : 'invalid_request'
  throw new SlopboxError(code, issuesToText(part, result.error.issues))
}

function parseJson(text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new SlopboxError('invalid_request', 'body: not JSON', { cause })
  }
  // Raw control characters are not JSON, so only an escape can hide what a database cannot store.
  if (text.includes('\\u')) refuseUnstorable('body', value)
  return value
}

function asSlopboxError(error: unknown): SlopboxError {
  if (error instanceof SlopboxError) return error
  const { statusCode, code } = error as { statusCode?: number; code?: string }
  if (statusCode === 413) return new SlopboxError('too_large', 'body: larger than this operation takes')
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return new SlopboxError('invalid_request', 'content-type: must be application/json')
  if (code === 'FST_ERR_BAD_URL') return new SlopboxError('invalid_request', 'path: broken percent-encoding')
  if (code === 'FST_ERR_MAX_PARAM_LENGTH') return new SlopboxError('not_found', 'path: a part of it is too long')
  if (code?.startsWith('FST_') === true && statusCode !== undefined && statusCode < 500)
    return new SlopboxError('invalid_request', 'request: not readable', { cause: error })
  return new SlopboxError('internal', 'something went wrong on our side', { cause: error })
}

function sendError(reply: FastifyReply, error: SlopboxError, requestId: string): FastifyReply {
  return reply.code(error.status).send(error.toWire(requestId))
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? ''
}
