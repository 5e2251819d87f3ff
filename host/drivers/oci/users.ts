import { lstat, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SlopboxError } from '../../../contract/errors.ts'
import { isMissing } from './layout.ts'
import type { Account } from './state.ts'

const limitBytes = 1024 * 1024

/**
 * Finds a user of a template, by name or number. Read from the template's layers, never from the running sandbox, whose
 * files the tenant can turn into links to ours while we look. Throws `invalid_request` when there is no such user.
 */
export async function resolveUser(layers: readonly string[], user: string): Promise<Account> {
  const passwd = await readEtc(layers, 'passwd')
  const rows = passwd.split('\n').map((line) => line.split(':'))
  const row = rows.find(([name, , uid]) => name !== '' && (name === user || uid === user))
  const [name = '', , uidText = '', gidText = '', , home = ''] = row ?? []
  const uid = Number(uidText)
  const gid = Number(gidText)
  if (row === undefined || uidText === '' || !isId(uid) || !isId(gid)) {
    // A number needs no entry; root is always there.
    if (user === 'root') return { name: 'root', uid: 0, gid: 0, groups: [], home: '/root' }
    if (/^\d{1,5}$/.test(user) && isId(Number(user)))
      return { name: user, uid: Number(user), gid: Number(user), groups: [], home: '/' }
    throw new SlopboxError('invalid_request', `user ${JSON.stringify(user)} is not in the template`, {
      hint: 'Use a name from its /etc/passwd, or a number from 0 to 65535.',
    })
  }
  const groups = (await readEtc(layers, 'group'))
    .split('\n')
    .map((line) => line.split(':'))
    .filter(([, , , members]) => members?.split(',').includes(name))
    .map(([, , id]) => Number(id))
    .filter((id) => isId(id) && id !== gid)
  return { name, uid, gid, groups, home: home.startsWith('/') ? home : '/' }
}

const isId = (value: number): boolean => Number.isInteger(value) && value >= 0 && value < 65_536

/** The topmost layer's copy; empty when no layer has one, or it is not an ordinary file of ordinary size. */
async function readEtc(layers: readonly string[], name: string): Promise<string> {
  for (const layer of layers) {
    try {
      const [etc, file] = [await lstat(join(layer, 'etc')), await lstat(join(layer, 'etc', name))]
      if (!etc.isDirectory() || !file.isFile() || file.size > limitBytes) return ''
      return await readFile(join(layer, 'etc', name), 'utf8')
    } catch (error) {
      if (!isMissing(error)) throw error
    }
  }
  return ''
}
