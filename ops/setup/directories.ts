import { readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { chmodBase, ensureBase, ensureDirectory, writeAtomic } from '../files.ts'
import type { Places } from '../paths.ts'
import { OpsError } from '../say.ts'
import type { Installation } from './installation.ts'
import type { Account, SystemUser } from './users.ts'

const root: Account = { uid: 0, gid: 0 }

/** What an interrupted start may have left before it wrote down what this installation is, and what a new disk holds. */
const early = new Set(['up.lock', 'installation.json.new', 'lost+found'])

/** The data directory itself. One that holds something else (a home, `/`, a clone) is refused and not touched. */
export function ensureDataDirectory(data: string): void {
  ensureBase(data, 0o711)
  const entries = readdirSync(data)
  const stranger = entries.includes('installation.json') ? undefined : entries.find((name) => !early.has(name))
  if (stranger !== undefined) {
    throw new OpsError(
      `${data} is not a data directory of Slopbox: it holds ${stranger}`,
      'Name a new or an empty directory with --data.',
    )
  }
  chmodBase(data, 0o711)
}

/** Every part with the owner and the mode it needs; repeated at each start, so that a changed one repairs itself. */
export function ensureParts(places: Places, accounts: Record<SystemUser, Account>): void {
  ensureDirectory(places.logs, 0o750, root)
  ensureDirectory(places.part('db'), 0o700, accounts['slopbox-db'])
  ensureDirectory(places.part('control'), 0o700, accounts['slopbox-control'])
  ensureDirectory(places.part('egress'), 0o700, accounts['slopbox-egress'])
  ensureDirectory(places.part('gateway'), 0o700, accounts['slopbox-gateway'])
  // Users inside sandboxes have ranges of their own and must be able to reach their root file system, not list others.
  ensureDirectory(places.part('host'), 0o711, root)
}

/** The places under `/run`, which a restart of the machine takes away. Only members of the group reach a socket. */
export function ensureRun(places: Places, accounts: Record<SystemUser, Account>, installation: Installation): void {
  ensureDirectory(dirname(places.run), 0o755, root)
  ensureDirectory(places.run, 0o755, root)
  const owned = (user: SystemUser): Account => ({ uid: accounts[user].uid, gid: accounts['slopbox-control'].gid })
  ensureDirectory(dirname(places.sockets.control), 0o750, owned('slopbox-control'))
  ensureDirectory(dirname(places.sockets.gateway), 0o750, owned('slopbox-gateway'))
  ensureDirectory(places.sockets.database, 0o750, owned('slopbox-db'))
  ensureDirectory(dirname(places.network), 0o755, root)
  ensureDirectory(places.app, 0o755, root)
  for (const name of ['db', 'control', 'egress', 'host', 'gateway']) ensureDirectory(places.own(name), 0o755, root)
  writeAtomic(join(places.run, 'subnet'), `${installation.subnet}\n`, 0o644)
}

/** The unprivileged processes read the clone through a mount of it, so only its own modes count, not its parents'. */
export function checkReadable(app: string): void {
  for (const path of [app, join(app, 'ops'), join(app, 'node_modules'), join(app, 'package.json')]) {
    const { mode } = statSync(path)
    const needed = statSync(path).isDirectory() ? 0o005 : 0o004
    if ((mode & needed) === needed) continue
    throw new OpsError(
      `${path} is not readable by other users, so the processes without root could not run`,
      `Run: chmod -R go+rX ${app}`,
    )
  }
}
