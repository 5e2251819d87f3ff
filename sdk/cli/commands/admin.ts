import type { Command } from 'commander'
import { collect, fileText, secretFromInput } from '../arguments.ts'
import type { Context } from '../context.ts'
import { bytes, details, table } from '../output.ts'

export function adminCommands(program: Command, context: Context): void {
  addSettings(program, context)
  const template = program.command('template').description('what sandboxes are made from')
  template
    .command('list')
    .description('templates and their builds')
    .action(async () => {
      const { items } = await context.client().templates.list()
      context.out.answer(items, () =>
        table(
          ['NAME', 'STATE', 'SIZE', 'PROGRESS'],
          items.map((t) => [
            t.name,
            t.state,
            t.sizeBytes === null ? '-' : bytes(t.sizeBytes),
            t.reason ?? (t.progress === null ? '' : `${t.progress.step}/${t.progress.steps} ${t.progress.title}`),
          ]),
          'No templates.',
        ),
      )
    })
  template
    .command('build')
    .argument('<name>')
    .description('build it where it is missing (operators)')
    .action(async (name: string) => {
      const built = await context.client().templates.build(name)
      context.out.answer(built, () => `${built.name}: ${built.state}`)
    })
  program
    .command('host')
    .description('machines that run sandboxes')
    .command('list')
    .description('hosts (operators)')
    .action(async () => {
      const { items } = await context.client().admin.hosts()
      context.out.answer(items, () =>
        table(
          ['NAME', 'STATE', 'SANDBOXES', 'MEMORY', 'LAST SEEN'],
          items.map((h) => [
            h.name,
            h.state,
            String(h.used.sandboxes),
            `${h.used.memoryMiB} of ${h.capacity.memoryMiB} MiB`,
            h.lastSeenAt,
          ]),
          'No hosts.',
        ),
      )
    })
  const user = program.command('user').description('people (operators)')
  user
    .command('create')
    .argument('<email>')
    .option('--name <name>', 'shown name')
    .option('--operator', 'with the operator role')
    .description('create a user; the password is read from standard input')
    .action(async (email: string, o: { name?: string; operator?: boolean }) => {
      const password = await secretFromInput('Password')
      const made = await context.client().admin.createUser({
        email,
        password,
        name: o.name ?? email.split('@')[0] ?? email,
        role: o.operator === true ? 'operator' : 'user',
      })
      context.out.answer(made, () => `${made.email} is ${made.id}.`)
    })
  user
    .command('list')
    .description('users')
    .action(async () => {
      const { items } = await context.client().admin.users({ limit: 200 })
      context.out.answer(items, () =>
        table(
          ['EMAIL', 'ID', 'ROLE', 'CREATED'],
          items.map((u) => [u.email, u.id, u.role, u.createdAt]),
          'No users.',
        ),
      )
    })
}

function addSettings(program: Command, context: Context): void {
  const settings = program.command('settings').description("the operator's settings")
  const show = (s: { signUp: boolean; allowedRanges: string[]; extraRoots: string }): void =>
    context.out.answer(s, () =>
      details([
        ['sign-up', s.signUp ? 'open' : 'closed'],
        ['allowed ranges', s.allowedRanges.join(', ') || 'none'],
        ['extra roots', `${s.extraRoots.split('BEGIN CERTIFICATE').length - 1} certificates`],
      ]),
    )
  settings
    .command('get')
    .description('show them')
    .action(async () => show(await context.client().admin.settings()))
  settings
    .command('set')
    .description('change them')
    .option(
      '--allow-range <cidr>',
      'reserved range that allowed hosts may resolve to; replaces the list, may be repeated',
      collect,
      [],
    )
    .option('--no-ranges', 'empty that list')
    .option('--extra-roots <file>', 'PEM certificates trusted upstream', fileText)
    .option('--sign-up <on|off>', 'may anyone make an account?')
    .action(async (o: { allowRange: string[]; ranges: boolean; extraRoots?: string; signUp?: string }) => {
      const change = {
        ...(o.allowRange.length > 0 || !o.ranges ? { allowedRanges: o.allowRange } : {}),
        ...(o.extraRoots === undefined ? {} : { extraRoots: o.extraRoots }),
        ...(o.signUp === undefined ? {} : { signUp: o.signUp === 'on' }),
      }
      show(await context.client().admin.updateSettings(change))
    })
}
