import { createReadStream, createWriteStream, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Command } from 'commander'
import { SlopboxError } from '../../../contract/errors.ts'
import type { FileInfo } from '../../index.ts'
import { integer } from '../arguments.ts'
import type { Context } from '../context.ts'
import { table } from '../output.ts'

interface As {
  user?: string
}

/** Files, as further words of `slopbox sandbox`. */
export function fileCommands(program: Command, context: Context): void {
  const sandbox = program.commands.find((command) => command.name() === 'sandbox')
  if (sandbox === undefined) throw new Error('the commands of `sandbox` come first')
  const files = (): ReturnType<Context['client']>['sandboxes']['files'] => context.client().sandboxes.files
  const word = (name: string, description: string): Command =>
    sandbox.command(name).description(description).option('--user <user>', 'name or uid inside')
  const at = (name: string, description: string): Command =>
    word(name, description).argument('<id>', 'of the sandbox').argument('<path>', 'absolute')
  const show = (file: FileInfo): void => context.out.answer(file, () => listing([file]))

  at('ls', 'list a directory')
    .option('--depth <levels>', 'directories in it too', integer(1, 32), 1)
    .action(async (id: string, path: string, o: As & { depth: number }) => {
      const found = await files().list(id, path, o)
      context.out.answer(found, () => listing(found.items))
      if (found.truncated) context.out.note('There is more than this.')
    })
  at('stat', 'what is at a path').action(async (id: string, path: string, o: As) =>
    show(await files().stat(id, path, o)),
  )
  at('cat', 'write a file to standard output').action(async (id: string, path: string, o: As) => {
    await pipeline(Readable.fromWeb((await files().read(id, path, o)) as never), process.stdout, { end: false })
  })
  at('mkdir', 'make a directory with its parents').action(async (id: string, path: string, o: As) =>
    show(await files().mkdir(id, path, o)),
  )
  at('rm', 'remove a file or directory')
    .option('-r, --recursive', 'with everything in it')
    .action(async (id: string, path: string, o: As & { recursive?: boolean }) => {
      context.out.answer(await files().remove(id, path, o), () => `${path} is removed.`)
    })
  at('mv', 'rename a file or directory')
    .argument('<to>', 'absolute')
    .action(async (id: string, path: string, to: string, o: As) => show(await files().move(id, path, to, o)))
  at('chmod', 'change a mode')
    .argument('<mode>', 'octal, such as 755')
    .action(async (id: string, path: string, mode: string, o: As) => show(await files().chmod(id, path, mode, o)))
  word('cp', 'copy a file into a sandbox or out of it')
    .argument('<from>', 'a file here, or <id>:<path>')
    .argument('<to>', 'the other of the two')
    .action(async (from: string, to: string, o: As) => copy(context, files(), from, to, o))
}

const inside = /^(sb[a-z0-9]{16}):(\/.*)$/

async function copy(
  context: Context,
  files: ReturnType<Context['client']>['sandboxes']['files'],
  from: string,
  to: string,
  as: As,
): Promise<void> {
  const [, fromId, fromPath] = inside.exec(from) ?? []
  const [, toId, toPath] = inside.exec(to) ?? []
  if (fromId !== undefined && fromPath !== undefined && toId === undefined) {
    const target = statSync(to, { throwIfNoEntry: false })?.isDirectory() === true ? join(to, basename(fromPath)) : to
    await pipeline(Readable.fromWeb((await files.read(fromId, fromPath, as)) as never), createWriteStream(target))
    context.out.answer({ path: target }, () => target)
  } else if (toId !== undefined && toPath !== undefined && fromId === undefined) {
    const mode = (statSync(from).mode & 0o777).toString(8).padStart(3, '0')
    const path = toPath.endsWith('/') ? toPath + basename(from) : toPath
    const body = Readable.toWeb(createReadStream(from)) as ReadableStream<Uint8Array>
    const file = await files.write(toId, path, body, { mode, ...as })
    context.out.answer(file, () => listing([file]))
  } else
    throw new SlopboxError('invalid_request', 'one of the two must be in a sandbox: <id>:<absolute path>', {
      hint: null,
    })
}

const letters = { file: '-', directory: 'd', link: 'l', other: '?' } as const

function listing(files: readonly FileInfo[]): string {
  return table(
    ['MODE', 'UID', 'GID', 'SIZE', 'CHANGED', 'PATH'],
    files.map((f) => [
      letters[f.type] + f.mode.padStart(4, '0'),
      String(f.uid),
      String(f.gid),
      String(f.size),
      f.modifiedAt,
      f.target === null ? f.path : `${f.path} -> ${f.target}`,
    ]),
    'Nothing here.',
  )
}
