import { request } from 'node:http'
import type { Duplex } from 'node:stream'
import type { ReadyCheck } from '../contract/sync.ts'
import type { z } from 'zod'
import { SlopboxError } from '../contract/errors.ts'
import type { Driver } from './driver.ts'
import { linkExpander } from './files.ts'

const attemptMs = 5_000

/**
 * Asks once whether the start command is up: any status below 400 counts. Undefined when it is, otherwise what happened,
 * as a fragment for people.
 */
export async function askReady(
  driver: Driver,
  id: string,
  check: z.infer<typeof ReadyCheck>,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (driver.dial === undefined) return `driver ${driver.name} cannot reach ports inside`
  const attempt = AbortSignal.any([signal, AbortSignal.timeout(attemptMs)])
  try {
    const socket = await driver.dial(id, check.port, attempt)
    const expand = await linkExpander(driver, id)
    const headers = Object.fromEntries(Object.entries(check.headers).map(([name, value]) => [name, expand(value)]))
    const status = await get(socket, check.port, check.path, headers, attempt)
    return status < 400 ? undefined : `port ${check.port} answered ${check.path} with status ${status}`
  } catch (error) {
    if (attempt.aborted) return `port ${check.port} did not answer within ${attemptMs / 1000} s`
    return `port ${check.port}: ${error instanceof SlopboxError ? error.message : codeOf(error)}`
  }
}

function get(
  socket: Duplex,
  port: number,
  path: string,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const call = request(
    {
      path,
      signal,
      headers: { host: `localhost:${port}`, ...headers, connection: 'close' },
      createConnection: () => socket,
    },
    (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
      socket.destroy()
    },
  )
  call.on('error', (error) => {
    socket.destroy()
    reject(error)
  })
  call.end()
  return promise
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'no answer'
  switch ('code' in error ? error.code : undefined) {
    case 'ECONNREFUSED':
      return 'nothing listens yet'
    case 'ECONNRESET':
      return 'the connection was cut'
    default:
      return error.message
  }
}
