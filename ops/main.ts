import { ConfigError } from '../lib/config.ts'
import { SlopboxError } from '../contract/errors.ts'
import { OpsError } from './say.ts'

type Command = (args: readonly string[], env: NodeJS.ProcessEnv) => Promise<number>

/** Loaded one by one: most of them are not needed most of the time. */
const commands: Record<string, () => Promise<Command>> = {
  up: async () => (await import('./commands/up.ts')).up,
  down: async () => (await import('./commands/down.ts')).down,
  status: async () => (await import('./commands/status.ts')).status,
  doctor: async () => (await import('./commands/doctor.ts')).doctor,
  logs: async () => (await import('./commands/logs.ts')).logs,
  test: async () => (await import('./commands/test.ts')).test,
  bench: async () => (await import('./commands/bench.ts')).bench,
  selftest: async () => (await import('./commands/selftest.ts')).selftest,
  help: async () => (await import('./commands/help.ts')).help,
}

/** Runs one operator's command. Returns the exit status; failures are told in a line and a next step. */
export async function main(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const [name = 'help', ...args] = argv
  const wantsHelp = name === '--help' || name === '-h' || args.includes('--help')
  const load = wantsHelp ? commands['help'] : commands[name]
  try {
    if (load === undefined) throw new OpsError(`there is no command ${name}`, 'See `slopbox help`.')
    return await (
      await load()
    )(wantsHelp ? argv.filter((arg) => !arg.startsWith('-') && arg !== 'help') : args, env)
  } catch (error) {
    return tell(error)
  }
}

/** The one place where a failure is printed. What is not expected keeps its stack. */
function tell(error: unknown): number {
  if (error instanceof OpsError || error instanceof SlopboxError) {
    process.stderr.write(`slopbox: ${error.message}\n${error.hint === null ? '' : `  ${error.hint}\n`}`)
  } else if (error instanceof ConfigError) {
    process.stderr.write(`slopbox: ${error.message}\n  See docs/configuration.md for what exists.\n`)
  } else {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
  }
  return 1
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2), process.env)
