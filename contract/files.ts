/** Files in a running sandbox, seen and changed as one of its users: nothing outside its own root can be named. */
import { z } from 'zod'
import { SandboxId } from './ids.ts'
import { Done, Timestamp } from './page.ts'
import { bytesRoute, route } from './route.ts'

/** At most in one listing. */
export const maxListedFiles = 10_000

const Path = z
  .string()
  .min(1)
  .max(4096)
  .regex(/^\/[^\0]*$/, 'not an absolute path')
  .describe('Absolute, as seen inside.')
const User = z.string().max(64).optional().describe("Name or numeric uid inside; default: the template's user.")
const Mode = z
  .string()
  .regex(/^[0-7]{3,4}$/, 'not an octal mode such as 644')
  .describe('Octal, such as 644.')

export const FileInfo = z.object({
  path: z.string(),
  type: z.enum(['file', 'directory', 'link', 'other']),
  mode: z.string().describe('Octal, such as 644.'),
  uid: z.int(),
  gid: z.int(),
  size: z.int(),
  modifiedAt: Timestamp,
  target: z.string().nullable().describe('Where a link leads, as it is written in it.'),
})
export type FileInfo = z.infer<typeof FileInfo>

const params = z.strictObject({ id: SandboxId })
const errors = ['not_found', 'wrong_state', 'forbidden', 'conflict', 'no_capacity', 'unavailable'] as const
const common = { server: 'gateway', params, errors } as const

export const readFile = bytesRoute({
  ...common,
  id: 'files.read',
  method: 'GET',
  path: '/v1/sandboxes/:id/files',
  summary: 'Read a file',
  description: 'Streamed as it is read, of any size; `Content-Length` is its size at the beginning.',
  query: z.strictObject({ path: Path, user: User }),
  carries: 'reply',
  reply: z.undefined(),
})
export const writeFile = bytesRoute({
  ...common,
  id: 'files.write',
  method: 'PUT',
  path: '/v1/sandboxes/:id/files',
  summary: 'Write or append to a file',
  description:
    'The body is the content, of any size. A file appears, or replaces an old one, when it is whole: an upload that breaks off or finds the disk full leaves the old one as it was. Appending has no such promise.',
  query: z.strictObject({
    path: Path,
    user: User,
    mode: Mode.optional(),
    append: z.stringbool().default(false),
  }),
  carries: 'body',
  reply: FileInfo,
})
export const statFile = route({
  ...common,
  id: 'files.stat',
  method: 'GET',
  path: '/v1/sandboxes/:id/files/stat',
  summary: 'What is at a path; a link is not followed',
  query: z.strictObject({ path: Path, user: User }),
  reply: FileInfo,
})
export const listFiles = route({
  ...common,
  id: 'files.list',
  method: 'GET',
  path: '/v1/sandboxes/:id/files/list',
  summary: 'List a directory',
  query: z.strictObject({
    path: Path,
    user: User,
    depth: z.coerce.number().int().min(1).max(32).default(1).describe('1: only the directory itself.'),
  }),
  reply: z.object({ items: z.array(FileInfo), truncated: z.boolean().describe(`More than ${maxListedFiles}.`) }),
})
export const makeDirectory = route({
  ...common,
  id: 'files.mkdir',
  method: 'POST',
  path: '/v1/sandboxes/:id/files/mkdir',
  summary: 'Make a directory with its parents; one that is there is left as it is',
  body: z.strictObject({ path: Path, user: User, mode: Mode.optional() }),
  reply: FileInfo,
})
export const moveFile = route({
  ...common,
  id: 'files.move',
  method: 'POST',
  path: '/v1/sandboxes/:id/files/move',
  summary: 'Rename a file or directory, within one file system',
  body: z.strictObject({ from: Path, to: Path, user: User }),
  reply: FileInfo,
})
export const changeMode = route({
  ...common,
  id: 'files.chmod',
  method: 'POST',
  path: '/v1/sandboxes/:id/files/chmod',
  summary: 'Change the mode of a file or directory',
  body: z.strictObject({ path: Path, mode: Mode, user: User }),
  reply: FileInfo,
})
export const changeOwner = route({
  ...common,
  id: 'files.chown',
  method: 'POST',
  path: '/v1/sandboxes/:id/files/chown',
  summary: 'Change the owner of a file or directory, as user root',
  body: z.strictObject({ path: Path, uid: z.int().min(0).max(65_535), gid: z.int().min(0).max(65_535), user: User }),
  reply: FileInfo,
})
export const removeFile = route({
  ...common,
  id: 'files.remove',
  method: 'DELETE',
  path: '/v1/sandboxes/:id/files',
  summary: 'Remove a file, a link, or a directory',
  query: z.strictObject({
    path: Path,
    user: User,
    recursive: z.stringbool().default(false).describe('With everything in it; else a directory must be empty.'),
  }),
  reply: Done,
})
