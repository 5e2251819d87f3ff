import { z } from 'zod'
import { SshKeyId } from './ids.ts'
import { Done, Name, PageQuery, pageOf, Timestamp } from './page.ts'
import { route } from './route.ts'

/** A person's public key: it opens SSH to every sandbox and agent of the teams he belongs to. */
export const SshKey = z.object({
  id: SshKeyId,
  name: z.string(),
  type: z.string().describe('Algorithm, as `ssh-ed25519`.'),
  fingerprint: z.string().describe('As `ssh-keygen -l` prints it: `SHA256:…`.'),
  createdAt: Timestamp,
  lastUsedAt: Timestamp.nullable(),
})
export type SshKey = z.infer<typeof SshKey>

export const createSshKey = route({
  id: 'sshKeys.create',
  method: 'POST',
  path: '/v1/me/ssh-keys',
  status: 201,
  summary: 'Register a public key for SSH',
  body: z.strictObject({
    name: Name.optional().describe("Default: the key's comment, as far as it can be a name, else its type."),
    publicKey: z
      .string()
      .trim()
      .min(1)
      .max(16_384)
      .describe('One line as in `~/.ssh/id_ed25519.pub`: type, base64 and an optional comment.'),
  }),
  reply: SshKey,
  errors: ['conflict'],
})
export const listSshKeys = route({
  id: 'sshKeys.list',
  method: 'GET',
  path: '/v1/me/ssh-keys',
  summary: 'List your SSH keys',
  query: PageQuery,
  reply: pageOf(SshKey),
})
export const deleteSshKey = route({
  id: 'sshKeys.delete',
  method: 'DELETE',
  path: '/v1/me/ssh-keys/:id',
  summary: 'Remove an SSH key; connections made with it are cut',
  params: z.strictObject({ id: SshKeyId }),
  reply: Done,
  errors: ['not_found'],
})
