import type { Command } from 'commander'
import type { Context } from '../context.ts'

/** `sandbox shell`: our terminal becomes that of a command inside, until it ends. */
export function shellCommand(program: Command, context: Context): void {
  const sandbox = program.commands.find((command) => command.name() === 'sandbox')
  if (sandbox === undefined) throw new Error('the commands of `sandbox` come first')
  sandbox
    .command('shell')
    .argument('<id>', 'of the sandbox')
    .argument('[command...]', 'after --; default: a login shell')
    .option('--user <user>', 'name or uid inside')
    .option('--cwd <dir>', 'working directory')
    .description('a terminal in it; the exit status becomes ours')
    .action(async (id: string, command: string[], o: { user?: string; cwd?: string }) => {
      const { stdin, stdout } = process
      const size = (): { cols: number; rows: number } => ({ cols: stdout.columns || 80, rows: stdout.rows || 24 })
      const terminal = await context.client().sandboxes.pty.open(id, {
        ...size(),
        ...(command.length === 0 ? {} : { command }),
        ...(o.user === undefined ? {} : { user: o.user }),
        ...(o.cwd === undefined ? {} : { cwd: o.cwd }),
        onOutput: (bytes) => void stdout.write(bytes),
      })
      const onInput = (bytes: Buffer): void => terminal.write(bytes)
      const onResize = (): void => terminal.resize(size())
      stdout.on('resize', onResize)
      if (stdin.isTTY) stdin.setRawMode(true)
      stdin.on('data', onInput)
      // What ends without a terminal ends as if typed: control-D at the start of a line.
      stdin.on('end', () => terminal.write('\u0004'))
      try {
        const { code, reason } = await terminal.exited
        process.exitCode = reason === 'timeout' ? 124 : (code ?? 137)
      } finally {
        if (stdin.isTTY) stdin.setRawMode(false)
        stdin.off('data', onInput).pause()
        stdout.off('resize', onResize)
        terminal.close()
      }
    })
}
