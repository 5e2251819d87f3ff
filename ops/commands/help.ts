import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { appDirectory } from '../paths.ts'
import { upUsage } from '../up/settings.ts'
import { benchUsage } from './bench.ts'
import { doctorUsage } from './doctor.ts'
import { downUsage } from './down.ts'
import { logsUsage } from './logs.ts'
import { selftestUsage } from './selftest.ts'
import { statusUsage } from './status.ts'
import { testUsage } from './test.ts'

const machine: Record<string, { usage: string; what: string }> = {
  up: { usage: upUsage, what: 'set up what is missing and run the system; Ctrl-C stops it' },
  down: { usage: downUsage, what: 'stop it; running sandboxes stay, --wipe removes everything' },
  status: { usage: statusUsage, what: 'what runs, how big it is, what it serves' },
  doctor: { usage: doctorUsage, what: 'what this machine can do, what is missing, how to get it' },
  logs: { usage: logsUsage, what: 'logs of the processes' },
  bench: { usage: benchUsage, what: 'measure' },
  selftest: { usage: selftestUsage, what: 'try to break out of a sandbox, and say what happened' },
  test: { usage: testUsage, what: 'types, lint, format and every test' },
}

/** `slopbox help [COMMAND]`. The commands for agents and the API are listed by the CLI itself. */
export async function help(args: readonly string[]): Promise<number> {
  const [name] = args
  const one = name === undefined ? undefined : machine[name]
  if (one !== undefined) {
    process.stdout.write(`${one.what}\n\n  ${one.usage}\n`)
    return 0
  }
  const lines = Object.entries(machine).map(([command, { what }]) => `  ${command.padEnd(10)}${what}`)
  process.stdout.write(
    `Slopbox runs AI agents that you don't have to trust.\n\nOn this machine (\`slopbox help COMMAND\` for the options):\n${lines.join('\n')}\n\nAgents, secrets and everything else of the API:\n`,
  )
  const cli = spawnSync(process.execPath, [join(appDirectory, 'sdk', 'cli', 'main.ts'), '--help'], { stdio: 'inherit' })
  return cli.status ?? 1
}
