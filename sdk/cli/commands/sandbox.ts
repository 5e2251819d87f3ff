import type { Command } from 'commander'
import type { Sandbox } from '../../index.ts'
import { outputBytes } from '../../sandboxes.ts'
import { SlopboxError } from '../../../contract/errors.ts'
import { collect, integer, pairs } from '../arguments.ts'
import type { Context } from '../context.ts'
import { details, printable, table } from '../output.ts'

export function sandboxCommands(program: Command, context: Context): void {
  const sandbox = program.command('sandbox').description('sandboxes: isolated computers for code you do not trust')
  sandbox
    .command('create')
    .description('create one and wait until it runs')
    .option('--template <name>', 'made from', 'base')
    .option('--env <NAME=VALUE>', 'may be repeated', pairs, {})
    .option('--allow <host>', 'host it may reach, may be repeated', collect, [])
    .option('--memory <MiB>', 'memory', integer(64, 262_144), 512)
    .option('--cpus <n>', 'cores', integer(1, 64), 1)
    .option('--timeout <seconds>', 'destroyed after; 0: never', integer(0, 2_592_000), 300)
    .action(
      async (o: {
        template: string
        env: Record<string, string>
        allow: string[]
        memory: number
        cpus: number
        timeout: number
      }) => {
        show(
          context,
          await context.client().sandboxes.create({
            template: o.template,
            env: o.env,
            allow: o.allow,
            size: { cpus: o.cpus, memoryMiB: o.memory },
            timeoutMs: o.timeout === 0 ? null : o.timeout * 1000,
          }),
        )
      },
    )
  sandbox
    .command('list')
    .description('your sandboxes')
    .action(async () => {
      const all = await Array.fromAsync(context.client().sandboxes.all())
      context.out.answer(all, () =>
        table(
          ['ID', 'STATE', 'TEMPLATE', 'CREATED', 'REASON'],
          all.map((s) => [s.id, s.state, s.template, s.createdAt, s.reason ?? '']),
          'No sandboxes. Make one: slopbox sandbox create',
        ),
      )
    })
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
      ['expires', s.expiresAt ?? 'never'],
    ]),
  )
}
