import type { Command } from 'commander'
import { fileText } from '../arguments.ts'
import type { Context } from '../context.ts'
import { table } from '../output.ts'

export function sshKeyCommands(program: Command, context: Context): void {
  const key = program.command('ssh-key').description('public keys that open SSH to your sandboxes and agents')
  key
    .command('add')
    .argument('<file>', 'a `.pub` file, or - for standard input', fileText)
    .option('--name <name>', "default: the key's comment")
    .description('register a public key')
    .action(async (publicKey: string, o: { name?: string }) => {
      const { account } = context.client()
      const made = await account.addSshKey({ publicKey, ...(o.name === undefined ? {} : { name: o.name }) })
      context.out.answer(made, () => `${made.name} (${made.fingerprint}) is registered as ${made.id}.`)
    })
  key
    .command('list')
    .description('your keys')
    .action(async () => {
      const { items } = await context.client().account.sshKeys({ limit: 200 })
      context.out.answer(items, () =>
        table(
          ['NAME', 'TYPE', 'FINGERPRINT', 'ID', 'LAST USED'],
          items.map((k) => [k.name, k.type, k.fingerprint, k.id, k.lastUsedAt ?? 'never']),
          'No SSH keys. Register one: slopbox ssh-key add ~/.ssh/id_ed25519.pub',
        ),
      )
    })
  key
    .command('remove')
    .argument('<id>')
    .description('remove a key; connections made with it are cut')
    .action(async (id: string) => {
      context.out.answer(await context.client().account.removeSshKey(id), () => `${id} is removed.`)
    })
}
