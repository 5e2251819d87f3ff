import type { Command as Program } from 'commander'
import { SlopboxError } from '../../../contract/errors.ts'
import type { Command } from '../../index.ts'
import { outputBytes } from '../../sandboxes.ts'
import { fileText, integer, pairs } from '../arguments.ts'
import type { Context } from '../context.ts'
import { table } from '../output.ts'

/** Background commands, as further words of `slopbox sandbox`. */
export function commandCommands(program: Program, context: Context): void {
  const sandbox = program.commands.find((command) => command.name() === 'sandbox')
  if (sandbox === undefined) throw new Error('the commands of `sandbox` come first')
  const noun = (): ReturnType<Context['client']>['sandboxes']['commands'] => context.client().sandboxes.commands
  const one = (name: string, description: string): Program =>
    sandbox
      .command(name)
      .argument('<id>', 'of the sandbox')
      .argument('<command>', 'its id, cm…')
      .description(description)
  spawnCommand(sandbox, context)
  sandbox
    .command('ps')
    .argument('<id>', 'of the sandbox')
    .description('commands in the background, running and lately ended')
    .action(async (id: string) => {
      const all = await noun().list(id)
      context.out.answer(all, () =>
        table(
          ['ID', 'STATE', 'STARTED', 'OUTPUT', 'COMMAND'],
          all.map((c) => [c.id, stateOf(c), c.startedAt, String(c.outputBytes), c.command.join(' ')]),
          'No commands in the background. Start one: slopbox sandbox spawn <id> -- <command>',
        ),
      )
    })
  one('attach', 'follow the output of a command; its exit status becomes ours. Ctrl-C leaves it running')
    .option('--from <position>', 'go on from here', integer(0, Number.MAX_SAFE_INTEGER), 0)
    .action((id: string, command: string, o: { from: number }) => attach(context, id, command, o.from))
  one('wait', 'wait until a command has ended; its exit status becomes ours').action(
    async (id: string, command: string) => {
      const ended = await noun().wait(id, command)
      context.out.answer(ended, () => stateOf(ended))
      process.exitCode = statusOf(ended.exit)
    },
  )
  one('input', 'write a file, or standard input for -, to a command started with --keep-stdin')
    .argument('<file>', 'or -')
    .option('--end', 'close its standard input after that')
    .action(async (id: string, command: string, file: string, o: { end?: boolean }) => {
      const text = fileText(file)
      const step = 64 * 1024
      for (let at = 0; at < text.length; at += step) await noun().write(id, command, text.slice(at, at + step))
      if (o.end === true) await noun().closeStdin(id, command)
    })
  one('signal', 'send a signal to a command; SIGKILL ends everything it started')
    .argument('[signal]', 'such as SIGINT', 'SIGTERM')
    .action(async (id: string, command: string, signal: string) => {
      const done = await (signal === 'SIGKILL' ? noun().kill(id, command) : noun().signal(id, command, signal))
      context.out.answer(done, () => `${signal} was sent.`)
    })
}

function spawnCommand(sandbox: Program, context: Context): void {
  sandbox
    .command('spawn')
    .argument('<id>', 'of the sandbox')
    .argument('<command...>', 'after --')
    .option('--user <user>', 'name or uid inside')
    .option('--cwd <dir>', 'working directory')
    .option('--env <NAME=VALUE>', 'may be repeated', pairs, {})
    .option('--timeout <seconds>', 'killed after; 0: never', integer(0, 2_592_000), 0)
    .option('--keep-stdin', 'leave standard input open for `sandbox input`')
    .description('start a command in the background and print its id')
    .action(
      async (
        id: string,
        command: string[],
        o: { user?: string; cwd?: string; env: Record<string, string>; timeout: number; keepStdin?: boolean },
      ) => {
        const started = await context.client().sandboxes.commands.start(id, command, {
          env: o.env,
          timeoutMs: o.timeout === 0 ? null : o.timeout * 1000,
          keepStdin: o.keepStdin === true,
          ...(o.user === undefined ? {} : { user: o.user }),
          ...(o.cwd === undefined ? {} : { cwd: o.cwd }),
        })
        context.out.answer(started, () => started.id)
      },
    )
}

async function attach(context: Context, id: string, command: string, from: number): Promise<void> {
  for await (const event of context.client().sandboxes.commands.output(id, command, from)) {
    if (context.out.json) context.out.item(event, () => '')
    else if (event.type === 'stdout') process.stdout.write(outputBytes(event))
    else if (event.type === 'stderr') process.stderr.write(outputBytes(event))
    else if (event.type === 'dropped') context.out.note(`[${event.bytes} bytes of older output are not kept]`)
    if (event.type === 'exit') {
      process.exitCode = statusOf(event)
      return
    }
  }
  throw new SlopboxError('unavailable', `the connection ended before command ${command} did`)
}

/** As `sandbox exec` does: 124 for timed out, 137 for killed. */
const statusOf = (exit: Command['exit']): number => (exit?.reason === 'timeout' ? 124 : (exit?.code ?? 137))

function stateOf({ state, exit }: Command): string {
  if (state === 'running' || exit === null) return state
  if (exit.reason !== 'exited') return exit.reason
  return exit.signal ?? `exit ${exit.code}`
}
