import { Option, type Command } from 'commander'
import type { Sandbox, SandboxState } from '../../index.ts'
import { outputBytes } from '../../sandboxes.ts'
import { SlopboxError } from '../../../contract/errors.ts'
import { sandboxStates, timeoutActions, type TimeoutAction } from '../../../contract/sandboxes.ts'
import { collect, integer, pairs } from '../arguments.ts'
import type { Context } from '../context.ts'
import { details, printable, table } from '../output.ts'

export function sandboxCommands(program: Command, context: Context): void {
  const sandbox = program.command('sandbox').description('sandboxes: isolated computers for code you do not trust')
  createCommand(sandbox, context)
  listCommand(sandbox, context)
  sandbox
    .command('get')
    .argument('<id>')
    .description('one sandbox')
    .action(async (id: string) => show(context, await context.client().sandboxes.get(id)))
  sandbox
    .command('start')
    .argument('<id>')
    .description('start a stopped one')
    .action(async (id: string) => show(context, await context.client().sandboxes.start(id)))
  sandbox
    .command('stop')
    .argument('<id>')
    .description('stop it; its disk stays')
    .action(async (id: string) => show(context, await context.client().sandboxes.stop(id)))
  sandbox
    .command('pause')
    .argument('<id>')
    .description('freeze it with everything in it')
    .action(async (id: string) => show(context, await context.client().sandboxes.pause(id)))
  sandbox
    .command('resume')
    .argument('<id>')
    .option('--timeout <seconds>', 'its new time; 0: never over', integer(0, 2_592_000))
    .description('let a paused one go on')
    .action(async (id: string, o: { timeout?: number }) => {
      const body = o.timeout === undefined ? {} : { timeoutMs: timeoutMs(o.timeout) }
      show(context, await context.client().sandboxes.resume(id, body))
    })
  sandbox
    .command('extend')
    .argument('<id>')
    .argument('<seconds>', 'from now; 0: never over', integer(0, 2_592_000))
    .description('give it a new time')
    .action(async (id: string, seconds: number) =>
      show(context, await context.client().sandboxes.extend(id, timeoutMs(seconds))),
    )
  sandbox
    .command('kill')
    .argument('<id>')
    .description('destroy it with its disk')
    .action(async (id: string) => {
      context.out.answer(await context.client().sandboxes.kill(id), () => `${id} is being destroyed.`)
    })
  sandbox
    .command('logs')
    .argument('<id>')
    .option('-f, --follow', 'wait for more')
    .option('-n, --tail <lines>', 'lines from the end', integer(0, 10_000), 200)
    .description('output of its start command')
    .action(async (id: string, o: { follow?: boolean; tail: number }) => {
      for await (const line of context
        .client()
        .sandboxes.logs(id, { tail: o.tail, follow: o.follow === true ? 'true' : 'false' }))
        context.out.item(line, () => `${line.at}  ${printable(line.text)}`)
    })
  sandbox
    .command('exec')
    .argument('<id>')
    .argument('<command...>', 'after --')
    .option('--user <user>', 'name or uid inside')
    .option('--cwd <dir>', 'working directory')
    .option('--env <NAME=VALUE>', 'may be repeated', pairs, {})
    .option('--timeout <seconds>', 'killed after', integer(1, 86_400), 60)
    .description('run a command; its exit status becomes ours')
    .action(
      async (
        id: string,
        command: string[],
        o: { user?: string; cwd?: string; env: Record<string, string>; timeout: number },
      ) => {
        const more = {
          env: o.env,
          timeoutMs: o.timeout * 1000,
          ...(o.user === undefined ? {} : { user: o.user }),
          ...(o.cwd === undefined ? {} : { cwd: o.cwd }),
        }
        for await (const event of context.client().sandboxes.exec(id, { command, ...more })) {
          if (context.out.json) context.out.item(event, () => '')
          else if (event.type === 'stdout') process.stdout.write(outputBytes(event))
          else if (event.type === 'stderr') process.stderr.write(outputBytes(event))
          if (event.type === 'error') throw new SlopboxError('wrong_state', event.message, { hint: event.hint })
          // As shells do: 128 + n would need the signal's number; 137 stands for killed, 124 for timed out (coreutils).
          if (event.type === 'exit') process.exitCode = event.reason === 'timeout' ? 124 : (event.code ?? 137)
        }
      },
    )
}

/** On the command line 0 stands for no end. */
const timeoutMs = (seconds: number): number | null => (seconds === 0 ? null : seconds * 1000)

function createCommand(sandbox: Command, context: Context): void {
  sandbox
    .command('create')
    .description('create one and wait until it runs')
    .option('--template <name>', 'made from', 'base')
    .option('--env <NAME=VALUE>', 'may be repeated', pairs, {})
    .option('--metadata <KEY=VALUE>', 'to find it again by, may be repeated', pairs, {})
    .option('--allow <host>', 'host it may reach, may be repeated', collect, [])
    .option('--memory <MiB>', 'memory', integer(64, 262_144), 512)
    .option('--cpus <n>', 'cores', integer(1, 64), 1)
    .option('--timeout <seconds>', 'its time; 0: never over', integer(0, 2_592_000), 300)
    .addOption(new Option('--on-timeout <action>', 'when its time is over').choices(timeoutActions).default('destroy'))
    .option('--wake-on-traffic', 'a command or a request to a port resumes it when it is paused')
    .action(
      async (o: {
        template: string
        env: Record<string, string>
        metadata: Record<string, string>
        allow: string[]
        memory: number
        cpus: number
        timeout: number
        onTimeout: TimeoutAction
        wakeOnTraffic?: boolean
      }) => {
        const { template, env, metadata, allow, onTimeout } = o
        show(
          context,
          await context.client().sandboxes.create({
            template,
            env,
            metadata,
            allow,
            size: { cpus: o.cpus, memoryMiB: o.memory },
            timeoutMs: timeoutMs(o.timeout),
            onTimeout,
            wakeOnTraffic: o.wakeOnTraffic === true,
          }),
        )
      },
    )
}

function listCommand(sandbox: Command, context: Context): void {
  sandbox
    .command('list')
    .description('your sandboxes')
    .addOption(new Option('--state <state>', 'only those in it').choices(sandboxStates))
    .option('--template <name>', 'only those made from it')
    .option('--metadata <KEY=VALUE>', 'only those that have it, may be repeated', pairs, {})
    .action(async (o: { state?: SandboxState; template?: string; metadata: Record<string, string> }) => {
      const { state, template } = o
      const metadata = new URLSearchParams(o.metadata).toString()
      const filter = {
        ...(state === undefined ? {} : { state }),
        ...(template === undefined ? {} : { template }),
        ...(metadata === '' ? {} : { metadata }),
      }
      const all = await Array.fromAsync(context.client().sandboxes.all(filter))
      context.out.answer(all, () =>
        table(
          ['ID', 'STATE', 'TEMPLATE', 'CREATED', 'EXPIRES', 'REASON'],
          all.map((s) => [s.id, s.state, s.template, s.createdAt, s.expiresAt ?? '-', s.reason ?? '']),
          'No sandboxes. Make one: slopbox sandbox create',
        ),
      )
    })
}

function show(context: Context, s: Sandbox): void {
  const timings = Object.entries(s.timings)
    .map(([stage, ms]) => `${stage.replace(/Ms$/, '')} ${Math.round(ms ?? 0)} ms`)
    .join(', ')
  context.out.answer(s, () =>
    details([
      ['id', s.id],
      ['state', s.state],
      ['reason', s.reason ?? '-'],
      ['template', s.template],
      ['timings', timings === '' ? '-' : timings],
      ['expires', s.expiresAt === null ? 'never' : `${s.expiresAt} (${s.onTimeout})`],
    ]),
  )
}
