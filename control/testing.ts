import { randomBytes } from 'node:crypto'
import type { Call, Output, Route } from '../contract/route.ts'
import { errorFromWire } from '../contract/errors.ts'
import type { Log } from '../lib/log.ts'
import { startControl } from './main.ts'
import type { Control, ControlDeps } from './main.ts'
import { testDatabase } from './store/testing.ts'
import type { Db } from './store/db.ts'
import { bootstrap } from '../contract/internal.ts'

export interface TestControl extends Control {
  db: Db
  deps: ControlDeps
  /** Every line that was logged, as JSON. */
  logged: string[]
  /** First operator, with his key. */
  operator: { email: string; password: string; key: string }
  /** A new user with an API key of his own team. */
  newUser(name: string): Promise<{ id: string; email: string; password: string; teamId: string; key: string }>
  /** Calls an operation through the whole app; throws the SlopboxError of the answer. */
  call<R extends Route>(route: R, input: Partial<Call<R>>, as: As): Promise<Output<R>>
  inject(route: Pick<Route, 'method' | 'path'>, input: object, as: As): Promise<Answer>
}

export interface As {
  key?: string
  cookie?: string
  headers?: Record<string, string>
}

export interface Answer {
  status: number
  body: unknown
  headers: Record<string, string | string[] | number | undefined>
}

export const testOrigin = 'http://slopbox.localhost:8480'
export const testTokens = {
  host: 'host-token',
  egress: 'egress-token',
  gateway: 'gateway-token',
  operator: 'operator-token',
}

/** Control as it runs, on its own database, without a socket. */
export async function startTestControl(overrides: Partial<ControlDeps> = {}): Promise<TestControl> {
  const database = await testDatabase()
  const logged: string[] = []
  const deps: ControlDeps = {
    databaseUrl: database.url,
    publicUrl: testOrigin,
    domain: 'slopbox.localhost:8480',
    socket: null,
    gatewaySocket: '/nonexistent/gateway.sock',
    gatewayToken: 'control-token',
    tokens: testTokens,
    masterKey: randomBytes(32),
    authSecret: randomBytes(32).toString('base64'),
    providers: [],
    log: recordingLog(logged),
    ...overrides,
  }
  const control = await startControl(deps)
  const inject: TestControl['inject'] = async (route, input, as) => await send(control, route, input, as)
  const call: TestControl['call'] = async (route, input, as) => {
    const answer = await inject(route, input, as)
    const failure = errorFromWire(answer.body)
    if (failure !== undefined) throw failure
    return route.reply.parse(answer.body) as Output<typeof route>
  }
  const first = await call(bootstrap, { body: {} }, { key: testTokens.operator })
  const operator = { email: first.email, password: first.password ?? '', key: first.apiKey ?? '' }
  return {
    ...control,
    db: database.db,
    deps,
    logged,
    operator,
    call,
    inject,
    newUser: (name) => newUser({ call, inject }, operator.key, name),
    async [Symbol.asyncDispose]() {
      await control[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    },
  }
}

async function newUser(
  control: Pick<TestControl, 'call' | 'inject'>,
  operatorKey: string,
  name: string,
): Promise<{ id: string; email: string; password: string; teamId: string; key: string }> {
  const { adminCreateUser, createKey } = await import('../contract/people.ts')
  const email = `${name}@example.com`
  const password = `${name} has a long password`
  const user = await control.call(adminCreateUser, { body: { email, name, password } }, { key: operatorKey })
  const cookie = await signIn(control, email, password)
  const { key } = await control.call(createKey, { body: { name: 'test' } }, { cookie, headers: { origin: testOrigin } })
  return { id: user.id, email, password, teamId: user.teamId, key }
}

/** Signs in with a password and returns the Cookie header to send from then on. */
export async function signIn(control: Pick<TestControl, 'inject'>, email: string, password: string): Promise<string> {
  const answer = await control.inject(
    { method: 'POST', path: '/api/auth/sign-in/email' },
    { body: { email, password } },
    { headers: { origin: testOrigin } },
  )
  if (answer.status !== 200) throw new Error(`sign-in: status ${answer.status} ${JSON.stringify(answer.body)}`)
  return cookieOf(answer)
}

/** The Cookie header for what an answer has set. */
export function cookieOf(answer: Answer): string {
  return [answer.headers['set-cookie'] ?? []]
    .flat()
    .map((cookie) => String(cookie).split(';', 1)[0] ?? '')
    .join('; ')
}

async function send(control: Control, route: Pick<Route, 'method' | 'path'>, input: object, as: As): Promise<Answer> {
  const { params = {}, query = {}, body } = input as { params?: object; query?: object; body?: object }
  const path = route.path.replace(/:(\w+)/g, (_, name: string) =>
    encodeURIComponent(String((params as Record<string, unknown>)[name])),
  )
  const given = Object.entries(query).filter(([, value]) => value !== undefined)
  const answer = await control.app.server.inject({
    method: route.method,
    url: path,
    query: Object.fromEntries(given.map(([name, value]) => [name, String(value)])),
    headers: {
      ...(as.key === undefined ? {} : { authorization: `Bearer ${as.key}` }),
      ...(as.cookie === undefined ? {} : { cookie: as.cookie }),
      ...as.headers,
    },
    ...(body === undefined ? {} : { payload: body }),
  })
  const isJson = String(answer.headers['content-type']).startsWith('application/json')
  return { status: answer.statusCode, body: isJson ? answer.json() : answer.body, headers: answer.headers }
}

function recordingLog(lines: string[]): Log {
  const write = (fields: object, message: string): void => void lines.push(JSON.stringify({ ...fields, message }))
  const log: Log = { debug: write, info: write, warn: write, error: write, child: () => log }
  return log
}
