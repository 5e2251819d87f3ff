import { createHash } from 'node:crypto'
import { SlopboxError } from '../../contract/errors.ts'
import { newId } from '../../contract/ids.ts'
import { Name } from '../../contract/page.ts'
import { createSshKey, deleteSshKey, listSshKeys as listRoute } from '../../contract/ssh-keys.ts'
import { parsePublicKey } from '../../core/ssh-key.ts'
import type { PublicKey } from '../../core/ssh-key.ts'
import { mount } from '../../lib/mount.ts'
import type { App } from '../../lib/mount.ts'
import { actorOf } from '../auth/caller.ts'
import type { Caller } from '../auth/caller.ts'
import { auditAct } from '../store/audit.ts'
import { isUniqueViolation } from '../store/db.ts'
import type { Db } from '../store/db.ts'
import { insertSshKey, listSshKeys, removeSshKey } from '../store/ssh-keys.ts'
import type { Wake } from '../wake.ts'

export interface SshKeysDeps {
  db: Db
  wake: Pick<Wake, 'gateway'>
}

export function mountSshKeys(app: App<Caller>, { db, wake }: SshKeysDeps): void {
  mount(app, createSshKey, async ({ body, caller }) => {
    const parsed = parsePublicKey(body.publicKey)
    if (!parsed.ok)
      throw new SlopboxError('invalid_request', `body.publicKey: the key ${parsed.why}`, {
        hint: 'Send the line of `~/.ssh/id_ed25519.pub`; `ssh-keygen -t ed25519` makes one.',
      })
    const { type } = parsed.key
    const fingerprint = fingerprintOf(parsed.key)
    const id = newId('sshKey')
    try {
      return await db.transaction().execute(async (tx) => {
        await auditAct(tx, actorOf(caller), createSshKey.id, { id, fingerprint })
        const name = body.name ?? nameOf(parsed.key)
        return await insertSshKey(tx, { id, userId: caller.user.id, name, type, fingerprint })
      })
    } catch (error) {
      if (isUniqueViolation(error, 'ssh_keys_user_id_fingerprint_key'))
        throw new SlopboxError('conflict', `body.publicKey: you have registered ${fingerprint} already`, {
          hint: 'See `slopbox ssh-key list`.',
          cause: error,
        })
      throw error
    }
  })
  mount(app, listRoute, ({ query, caller }) => listSshKeys(db, caller.user.id, query))
  mount(app, deleteSshKey, async ({ params, caller }) => {
    await db.transaction().execute(async (tx) => {
      const name = await removeSshKey(tx, caller.user.id, params.id)
      if (name === undefined) throw new SlopboxError('not_found', `no SSH key ${params.id}`)
      await auditAct(tx, actorOf(caller), deleteSshKey.id, { id: params.id, name })
    })
    wake.gateway()
    return { ok: true as const }
  })
}

/** As `ssh-keygen -l` prints it. */
function fingerprintOf(key: PublicKey): string {
  return `SHA256:${createHash('sha256').update(key.blob).digest('base64').replace(/=+$/, '')}`
}

/** The comment without what a name cannot have (`ada@laptop` reads `ada-laptop`), else the type. */
function nameOf(key: PublicKey): string {
  const name = Name.safeParse(
    key.comment
      .replaceAll(/[^\p{L}\p{N} ._'-]+/gu, '-')
      .replace(/^[^\p{L}\p{N}]+/u, '')
      .slice(0, 63),
  )
  return name.success ? name.data : key.type
}
