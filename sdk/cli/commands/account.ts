import type { Command } from 'commander'
import { hostname } from 'node:os'
import { createInterface } from 'node:readline/promises'
import { z } from 'zod'
import { SlopboxError } from '../../../contract/errors.ts'
import { Slopbox } from '../../index.ts'
import { integer, promptHidden, secretFromInput } from '../arguments.ts'
import { saveAccount, type Context } from '../context.ts'
import { table } from '../output.ts'

export function accountCommands(program: Command, context: Context, env: NodeJS.ProcessEnv): void {
  program
    .command('login')
    .description('sign in and remember a key')
    .option('--email <email>', 'sign in with email and password')
    .option('--key-stdin', 'read an API key from standard input')
    .action(async (o: { email?: string; keyStdin?: boolean }) => {
      const { url } = context.account()
      const apiKey = o.keyStdin === true ? await secretFromInput('API key') : await keyByPassword(url, o.email)
      const me = await new Slopbox({ url, apiKey }).account.me()
      const file = saveAccount(env, { url, apiKey })
      context.out.answer(me, () => `Signed in to ${url} as ${me.user.email}; the key is in ${file}.`)
    })
  program
    .command('whoami')
    .description('who the key belongs to')
    .action(async () => {
      const me = await context.client().account.me()
      context.out.answer(me, () => `${me.user.email} (${me.user.role}), team ${me.team.name}`)
    })

  const key = program.command('key').description('API keys')
  key
    .command('create')
    .argument('<name>')
    .option('--service', 'may act for users with X-User-Id (operators)')
    .option('--days <n>', 'expires after', integer(1, 3650))
    .description('create one; it is shown once')
    .action(async (name: string, o: { service?: boolean; days?: number }) => {
      const made = await context
        .client()
        .account.createKey({ name, service: o.service === true, expiresInDays: o.days ?? null })
      context.out.answer(made, () => made.key)
    })
  key
    .command('list')
    .description('your keys')
    .action(async () => {
      const { items } = await context.client().account.keys({ limit: 200 })
      context.out.answer(items, () =>
        table(
          ['NAME', 'START', 'ID', 'LAST USED', 'EXPIRES'],
          items.map((k) => [k.name, k.start, k.id, k.lastUsedAt ?? 'never', k.expiresAt ?? 'never']),
          'No keys.',
        ),
      )
    })
  key
    .command('revoke')
    .argument('<id>')
    .description('revoke a key')
    .action(async (id: string) => {
      context.out.answer(await context.client().account.revokeKey(id), () => `${id} is revoked.`)
    })
}

const SignIn = z.object({ message: z.string().optional() })

/** Signs in as a browser would, makes a key with that session, and ends the session. */
async function keyByPassword(url: string, givenEmail: string | undefined): Promise<string> {
  if (givenEmail === undefined && !process.stdin.isTTY)
    throw new SlopboxError('invalid_request', 'no terminal to ask for email and password', {
      hint: 'Use --key-stdin, or --email with the password on standard input.',
    })
  const email = givenEmail ?? (await ask('Email'))
  const password = process.stdin.isTTY ? await promptHidden('Password') : await secretFromInput('Password')
  const origin = new URL(url).origin
  const post = (path: string, body: unknown, cookie = ''): Promise<Response> =>
    fetch(new URL(path, url), {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin, ...(cookie === '' ? {} : { cookie }) },
      body: JSON.stringify(body),
    })
  const response = await post('/api/auth/sign-in/email', { email, password }).catch((cause: unknown) => {
    throw new SlopboxError('unavailable', `no answer from ${origin}`, {
      cause,
      hint: 'Is it running? `slopbox status` tells.',
    })
  })
  if (!response.ok) {
    const { message } = SignIn.parse(await response.json())
    throw new SlopboxError('unauthenticated', message ?? `sign-in refused with status ${response.status}`, {
      hint: 'Check email and password.',
    })
  }
  const cookie = response.headers
    .getSetCookie()
    .map((c) => c.split(';')[0])
    .join('; ')
  const withCookie: typeof fetch = (input, init) => {
    const headers = new Headers(init?.headers)
    headers.set('cookie', cookie)
    headers.set('origin', origin)
    return fetch(input, { ...init, headers })
  }
  const { key } = await new Slopbox({ url, fetch: withCookie }).account.createKey({
    name: `cli on ${hostname().replace(/[^\w.-]/g, '-')}`.slice(0, 63),
  })
  await post('/api/auth/sign-out', {}, cookie)
  return key
}

async function ask(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return (await terminal.question(`${question}: `)).trim()
  } finally {
    terminal.close()
  }
}
