import { Command, CommanderError } from 'commander'
import { SlopboxError } from '../../contract/errors.ts'
import { Slopbox } from '../index.ts'
import { accountCommands } from './commands/account.ts'
import { adminCommands } from './commands/admin.ts'
import { agentCommands } from './commands/agent.ts'
import { commandCommands } from './commands/commands.ts'
import { egressCommands } from './commands/egress.ts'
import { fileCommands } from './commands/files.ts'
import { sandboxCommands } from './commands/sandbox.ts'
import { shellCommand } from './commands/shell.ts'
import { sshKeyCommands } from './commands/ssh-key.ts'
import { usageCommands } from './commands/usage.ts'
import { readAccount, type Context } from './context.ts'
import { createOutput, printable } from './output.ts'

/** The whole command line as data; `env` is where address and key may come from. */
export function createProgram(env: NodeJS.ProcessEnv): Command {
  const program = new Command('slopbox')
    .description("Runs AI agents that you don't have to trust")
    .option('--json', 'answer with JSON: one value, or one a line for streams')
    .option('--url <url>', 'address of the API (or SLOPBOX_URL)')
    .showHelpAfterError('(add --help for the options)')
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
  const account = (): ReturnType<typeof readAccount> => {
    const found = readAccount(env)
    return { ...found, url: program.opts<{ url?: string }>().url ?? found.url }
  }
  const context: Context = {
    account,
    client() {
      const { url, apiKey, userId } = account()
      if (apiKey === undefined)
        throw new SlopboxError('unauthenticated', 'not signed in', {
          hint: 'Run `slopbox login`, or set SLOPBOX_API_KEY.',
        })
      return new Slopbox({ url, apiKey, ...(userId === undefined ? {} : { userId }) })
    },
    get out() {
      return createOutput(program.opts<{ json?: boolean }>().json === true)
    },
  }
  for (const add of [
    agentCommands,
    sandboxCommands,
    sshKeyCommands,
    commandCommands,
    shellCommand,
    fileCommands,
    egressCommands,
    usageCommands,
    accountCommands,
    adminCommands,
  ])
    add(program, context, env)
  return program
}

/** Runs one command line. Returns the exit status: 0 done, 1 failed, 2 wrong usage. */
export async function run(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const program = createProgram(env)
  try {
    await program.parseAsync(argv, { from: 'user' })
    return typeof process.exitCode === 'number' ? process.exitCode : 0
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    report(error, program.opts<{ json?: boolean }>().json === true)
    return 1
  }
}

/** The one place where a failure is told: what went wrong, the next step, and the id to look for in the log. */
function report(error: unknown, json: boolean): void {
  if (json && error instanceof SlopboxError) {
    process.stderr.write(JSON.stringify(error.toWire()) + '\n')
    return
  }
  const message = error instanceof Error ? error.message : String(error)
  process.stderr.write(`slopbox: ${printable(message)}\n`)
  if (error instanceof SlopboxError) {
    if (error.hint !== null) process.stderr.write(`  ${printable(error.hint)}\n`)
    if (error.requestId !== null) process.stderr.write(`  request ${printable(error.requestId)}\n`)
  } else if (error instanceof Error && error.cause !== undefined) {
    process.stderr.write(
      `  caused by ${printable(error.cause instanceof Error ? error.cause.message : JSON.stringify(error.cause))}\n`,
    )
  }
}

if (import.meta.main) process.exitCode = await run(process.argv.slice(2), process.env)
