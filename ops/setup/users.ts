import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { OpsError } from '../say.ts'

export const group = 'slopbox'
/** One system user per process that needs no root, so that none can read another's files or signal it. */
export const systemUsers = ['slopbox-db', 'slopbox-control', 'slopbox-egress', 'slopbox-gateway'] as const
export type SystemUser = (typeof systemUsers)[number]

export interface Account {
  uid: number
  gid: number
}

/** Creates the group and the users that do not exist yet. Needs root. */
export function ensureUsers(): Record<SystemUser, Account> {
  if (groupId(group) === null) run('groupadd', ['--system', group])
  for (const user of systemUsers) {
    if (account(user) !== null) continue
    const home = ['--no-create-home', '--home-dir', '/nonexistent', '--shell', '/usr/sbin/nologin']
    run('useradd', ['--system', '--gid', group, ...home, user])
  }
  return Object.fromEntries(systemUsers.map((user) => [user, needAccount(user)])) as Record<SystemUser, Account>
}

export function account(user: string): Account | null {
  for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
    const [name, , uid, gid] = line.split(':')
    if (name === user) return { uid: Number(uid), gid: Number(gid) }
  }
  return null
}

export function groupId(name: string): number | null {
  for (const line of readFileSync('/etc/group', 'utf8').split('\n')) {
    const [entry, , gid] = line.split(':')
    if (entry === name) return Number(gid)
  }
  return null
}

function needAccount(user: string): Account {
  const found = account(user)
  if (found === null)
    throw new OpsError(`the system user ${user} could not be made`, 'Look at /etc/passwd and useradd.')
  return found
}

function run(program: string, args: string[]): void {
  const result = spawnSync(program, args, { encoding: 'utf8' })
  // Another installation on this machine may have made it in the meantime (useradd and groupadd exit with 9).
  if (result.status === 0 || result.status === 9) return
  throw new OpsError(
    `${program} ${args.join(' ')} failed: ${(result.stderr ?? result.error?.message ?? '').trim()}`,
    'Is /etc writable? Slopbox makes one system user for each of its processes.',
  )
}
