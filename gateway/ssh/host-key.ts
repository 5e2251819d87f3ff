import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ssh2 from 'ssh2'
import { writeFileAtomic } from '../../lib/atomic-file.ts'

/**
 * The key by which clients know this gateway again (RFC 4251 §4.1), in OpenSSH's format. Made once and kept in the
 * directory: another one would make every client warn of an attack.
 */
export function hostKey(directory: string): string {
  const path = join(directory, 'ssh_host_ed25519_key')
  const kept = read(path)
  if (kept !== undefined) return kept
  const made = ssh2.utils.generateKeyPairSync('ed25519', { comment: 'slopbox' })
  writeFileAtomic(`${path}.pub`, `${made.public}\n`)
  writeFileAtomic(path, made.private)
  return made.private
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
