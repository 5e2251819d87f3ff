import { z } from 'zod'
import type { ErrorCode } from './errors.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** Who may call: `public` anyone, `user` a signed-in person or a team key, `operator` a user with the operator role. */
export type Access = 'public' | 'user' | 'operator'

/**
 * One API operation, as data. The server mounts it, the SDK calls it, OpenAPI is printed from it.
 * `kind: 'stream'` answers with server-sent events (WHATWG HTML §9.2) whose `data` are JSON values of `reply`.
 */
export interface Route<
  P extends z.ZodType = z.ZodType,
  Q extends z.ZodType = z.ZodType,
  B extends z.ZodType = z.ZodType,
  R extends z.ZodType = z.ZodType,
  K extends 'json' | 'stream' = 'json' | 'stream',
> {
  /** Stable operation id, `noun.verb`; also the OpenAPI operationId. */
  id: string
  kind: K
  method: Method
  path: `/${string}`
  summary: string
  /** Which side of it is raw bytes (application/octet-stream) instead of JSON; null: neither. */
  carries: 'body' | 'reply' | null
  /** What the summary has no room for: consequences, and when it does not work. */
  description: string | null
  access: Access
  /** The process that answers. `gateway` routes carry streams to a host and never touch the database. */
  server: 'control' | 'gateway'
  status: number
  params: P
  query: Q
  body: B
  reply: R
  /** Codes beyond those any route may answer with (invalid_request, unauthenticated, rate_limited, internal). */
  errors: readonly ErrorCode[]
}

export const none = z.strictObject({})
export type None = typeof none

interface RouteInit<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, R extends z.ZodType> {
  id: string
  method: Method
  path: `/${string}`
  summary: string
  carries?: 'body' | 'reply'
  description?: string
  access?: Access
  server?: 'control' | 'gateway'
  status?: number
  params?: P
  query?: Q
  body?: B
  reply: R
  errors?: readonly ErrorCode[]
}

/** Declares an operation that answers with one JSON value. Status is 200 unless said otherwise. */
export function route<
  R extends z.ZodType,
  P extends z.ZodType = None,
  Q extends z.ZodType = None,
  B extends z.ZodType = None,
>(init: RouteInit<P, Q, B, R>): Route<P, Q, B, R, 'json'> {
  return { ...defaults(init), kind: 'json' }
}

/** Declares an operation whose body or reply is bytes of any length, streamed. */
export function bytesRoute<
  R extends z.ZodType,
  P extends z.ZodType = None,
  Q extends z.ZodType = None,
  B extends z.ZodType = None,
>(init: RouteInit<P, Q, B, R> & { carries: 'body' | 'reply' }): Route<P, Q, B, R, 'json'> {
  return route(init)
}

/** Declares an operation that answers with a stream of server-sent events. */
export function stream<
  R extends z.ZodType,
  P extends z.ZodType = None,
  Q extends z.ZodType = None,
  B extends z.ZodType = None,
>(init: RouteInit<P, Q, B, R>): Route<P, Q, B, R, 'stream'> {
  return { ...defaults(init), kind: 'stream' }
}

function defaults<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, R extends z.ZodType>(
  init: RouteInit<P, Q, B, R>,
): Omit<Route<P, Q, B, R>, 'kind'> {
  return {
    id: init.id,
    method: init.method,
    path: init.path,
    summary: init.summary,
    carries: init.carries ?? null,
    description: init.description ?? null,
    reply: init.reply,
    access: init.access ?? 'user',
    server: init.server ?? 'control',
    status: init.status ?? 200,
    errors: init.errors ?? [],
    // The generic default of each is `None`, so an absent schema is exactly `none`.
    params: init.params ?? (none as z.ZodType as P),
    query: init.query ?? (none as z.ZodType as Q),
    body: init.body ?? (none as z.ZodType as B),
  }
}

/** What a handler receives: defaults applied. */
export type Input<T> =
  T extends Route<infer P, infer Q, infer B> ? { params: z.output<P>; query: z.output<Q>; body: z.output<B> } : never
/** What a caller sends: defaults may be left out. */
export type Call<T> =
  T extends Route<infer P, infer Q, infer B> ? { params: z.input<P>; query: z.input<Q>; body: z.input<B> } : never
/** What comes back: the reply, or each event of the stream. */
export type Output<T> = T extends Route<z.ZodType, z.ZodType, z.ZodType, infer R> ? z.output<R> : never
