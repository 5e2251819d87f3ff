import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ensureDirectory, ensureFile, writeAtomic } from '../files.ts'
import type { Places } from '../paths.ts'
import type { Account, SystemUser } from './users.ts'

/** Which process is given which secret, under which name. The master copy of each is named after the secret. */
const shared: Record<string, readonly (readonly [process: string, name: string])[]> = {
  'master.key': [
    ['control', 'master.key'],
    ['egress', 'master.key'],
  ],
  'auth.secret': [['control', 'auth.secret']],
  'host.token': [
    ['control', 'host.token'],
    ['host', 'control.token'],
  ],
  'egress.token': [
    ['control', 'egress.token'],
    ['egress', 'control.token'],
  ],
  'gateway.token': [
    ['control', 'gateway.token'],
    ['gateway', 'control.token'],
  ],
  'operator.token': [['control', 'operator.token']],
  'gateway-internal.token': [
    ['control', 'gateway-internal.token'],
    ['gateway', 'control-internal.token'],
  ],
  'tunnel.token': [
    ['host', 'gateway.token'],
    ['gateway', 'host.token'],
  ],
  'cookie.key': [['gateway', 'cookie.key']],
}

const root: Account = { uid: 0, gid: 0 }

/**
 * Gives every process its own credential files, making what does not exist. Masters lie in `secrets/` (root only): a
 * process's copies are written again at each start, so that a lost or changed copy repairs itself.
 */
export async function ensureCredentials(
  places: Places,
  accounts: Record<SystemUser, Account>,
  now: Date,
): Promise<{ operatorToken: string }> {
  const masters = join(places.data, 'secrets')
  ensureDirectory(masters, 0o700, root)
  for (const [secret, copies] of Object.entries(shared)) {
    const value = keep(join(masters, secret), () => `${randomBytes(32).toString('base64')}\n`)
    for (const [process, name] of copies) give(places, accounts, process, name, value)
  }
  await ensureAuthorities(places, accounts, masters, now)
  return { operatorToken: readFileSync(join(masters, 'operator.token'), 'utf8').trim() }
}

/** Two authorities: one stands before intercepted hosts (egress signs), one behind our own TLS (gateway signs). */
async function ensureAuthorities(
  places: Places,
  accounts: Record<SystemUser, Account>,
  masters: string,
  now: Date,
): Promise<void> {
  const wanted = [
    {
      name: 'egress',
      title: 'Slopbox interception',
      process: 'egress',
      key: 'ca.key',
      publish: [places.interceptionCa],
    },
    {
      name: 'local',
      title: 'Slopbox local',
      process: 'gateway',
      key: 'tls-ca.key',
      publish: [places.localCa, places.caFile],
    },
  ]
  for (const entry of wanted) {
    const keyFile = join(masters, `${entry.name}-ca.key`)
    const certificateFile = join(masters, `${entry.name}-ca.pem`)
    if (!existsSync(keyFile) || !existsSync(certificateFile)) {
      const { createAuthority } = await import('./authorities.ts')
      const mark = createHash('sha256').update(places.data).digest('hex').slice(0, 6)
      const made = await createAuthority(`${entry.title} CA ${mark}`, now)
      writeAtomic(keyFile, made.key, 0o600, root)
      writeAtomic(certificateFile, made.certificate, 0o644, root)
    }
    give(places, accounts, entry.process, entry.key, readFileSync(keyFile, 'utf8'))
    const certificate = readFileSync(certificateFile, 'utf8')
    for (const file of entry.publish) ensureFile(file, certificate, 0o644, root)
  }
}

function keep(file: string, make: () => string): string {
  if (!existsSync(file)) writeAtomic(file, make(), 0o600, root)
  return readFileSync(file, 'utf8')
}

function give(
  places: Places,
  accounts: Record<SystemUser, Account>,
  process: string,
  name: string,
  value: string,
): void {
  const owner = process === 'host' ? root : accounts[`slopbox-${process}` as SystemUser]
  const directory = join(places.part(process), 'credentials')
  ensureDirectory(directory, 0o700, owner)
  ensureFile(join(directory, name), value, 0o400, owner)
}
