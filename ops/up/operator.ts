import { existsSync, readFileSync } from 'node:fs'
import { z } from 'zod'
import { bootstrap, createSignInLink } from '../../contract/internal.ts'
import { callSocket, type SocketClient } from '../../lib/socket-client.ts'
import { writeAtomic } from '../files.ts'
import { OpsError } from '../say.ts'

/** The first operator's credentials, in `operator.json` (mode 0600) for `--json` and the commands on this machine. */
const Operator = z.strictObject({ email: z.string(), password: z.string(), apiKey: z.string() })
export type Operator = z.infer<typeof Operator>

export function readOperator(file: string): Operator | null {
  return existsSync(file) ? Operator.parse(JSON.parse(readFileSync(file, 'utf8'))) : null
}

/** Makes the first operator when there is none. `created` tells whether that happened now. */
export async function ensureOperator(
  client: SocketClient,
  file: string,
  signal: AbortSignal,
): Promise<{ operator: Operator; created: boolean }> {
  const reply = await callSocket(client, bootstrap, { params: {}, query: {}, body: {} }, signal)
  if (reply.created && reply.password !== null && reply.apiKey !== null) {
    const operator = { email: reply.email, password: reply.password, apiKey: reply.apiKey }
    writeAtomic(file, `${JSON.stringify(operator, null, 2)}\n`, 0o600)
    return { operator, created: true }
  }
  const operator = readOperator(file)
  if (operator !== null) return { operator, created: false }
  throw new OpsError(
    `the database already has an operator (${reply.email}), but ${file} is missing`,
    'Restore that file from a backup, or use an empty database.',
  )
}

/** A link that signs its first visitor in as the operator. */
export async function signInLink(client: SocketClient, url: string, signal: AbortSignal): Promise<string> {
  const reply = await callSocket(client, createSignInLink, { params: {}, query: {}, body: {} }, signal)
  return `${url}/sign-in#token=${encodeURIComponent(reply.token)}`
}
