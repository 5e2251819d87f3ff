import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { SlopboxError } from '../../contract/errors.ts'
import type { Agent, Slopbox } from '../index.ts'
import type { Output } from './output.ts'

/** What every command gets: the client, and where its answers go. */
export interface Context {
  client(): Slopbox
  out: Output
  /** Address and key in use; the key may be absent before `slopbox login`. */
  account(): Account
}

export interface Account {
  url: string
  apiKey: string | undefined
  userId: string | undefined
}

const Saved = z.looseObject({ url: z.url(), apiKey: z.string().min(1) })

export const configFile = (env: NodeJS.ProcessEnv): string =>
  join(env['XDG_CONFIG_HOME'] ?? join(homedir(), '.config'), 'slopbox', 'config.json')

/** `SLOPBOX_URL` and `SLOPBOX_API_KEY` win over what `slopbox login` or `slopbox up` saved. */
export function readAccount(env: NodeJS.ProcessEnv): Account {
  const saved = readSaved(configFile(env))
  return {
    url: env['SLOPBOX_URL'] ?? saved?.url ?? 'http://127.0.0.1:8480',
    apiKey: env['SLOPBOX_API_KEY'] ?? saved?.apiKey,
    userId: env['SLOPBOX_USER_ID'],
  }
}

export function saveAccount(env: NodeJS.ProcessEnv, account: { url: string; apiKey: string }): string {
  const file = configFile(env)
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  writeFileSync(file, JSON.stringify(account, null, 2) + '\n', { mode: 0o600 })
  // An existing file keeps its mode on write.
  chmodSync(file, 0o600)
  return file
}

function readSaved(file: string): z.output<typeof Saved> | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  try {
    return Saved.parse(JSON.parse(text))
  } catch (cause) {
    throw new SlopboxError('invalid_request', `${file} is not readable as configuration`, {
      cause,
      hint: 'Remove it and run `slopbox login`.',
    })
  }
}

/** An agent by id or by its exact name. */
export async function findAgent(client: Slopbox, nameOrId: string): Promise<Agent> {
  if (/^ag[a-z0-9]{16}$/.test(nameOrId)) return client.agents.get(nameOrId)
  for await (const agent of client.agents.all()) if (agent.name === nameOrId) return agent
  throw new SlopboxError('not_found', `no agent named ${JSON.stringify(nameOrId)}`, {
    hint: 'See `slopbox agent list`.',
  })
}
