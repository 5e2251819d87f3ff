import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { OpsError } from './say.ts'

export interface Owner {
  uid: number
  gid: number
}

/** Replaces a file in one step, so that a crash leaves the old one or the new one. The mode holds from the first byte. */
export function writeAtomic(file: string, content: string, mode: number, owner?: Owner): void {
  const next = `${file}.new`
  try {
    const fd = openSync(next, 'w', mode)
    try {
      chmodSync(next, mode)
      if (owner !== undefined) chownSync(next, owner.uid, owner.gid)
      writeSync(fd, content)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(next, file)
  } catch (cause) {
    throw diskError(file, cause)
  }
}

/** The same, but leaves a file alone that already is as it should be: most starts write nothing. */
export function ensureFile(file: string, content: string, mode: number, owner: Owner): void {
  const found = statSync(file, { throwIfNoEntry: false })
  const same =
    found !== undefined && found.uid === owner.uid && found.gid === owner.gid && (found.mode & 0o777) === mode
  if (!same || readFileSync(file, 'utf8') !== content) writeAtomic(file, content, mode, owner)
}

/** Makes a directory (and repairs the owner and mode of one that is there). */
export function ensureDirectory(path: string, mode: number, owner?: Owner): void {
  try {
    makeDirectories(path, mode)
    chmodSync(path, mode)
    if (owner !== undefined) chownSync(path, owner.uid, owner.gid)
  } catch (cause) {
    throw diskError(path, cause)
  }
}

/** A directory that the owner of the machine made keeps its mode; one that is missing is made with `mode`. */
export function ensureBase(path: string, mode: number): void {
  try {
    makeDirectories(path, mode)
    if (!statSync(path).isDirectory()) throw new OpsError(`${path} is not a directory`, 'Choose another with --data.')
  } catch (cause) {
    throw diskError(path, cause)
  }
}

/** A change of mode that says what is in the way. */
export function chmodBase(path: string, mode: number): void {
  try {
    chmodSync(path, mode)
  } catch (cause) {
    throw diskError(path, cause)
  }
}

/** Node's own recursive mkdir never returns where a file system denies that its directories exist, as /proc does. */
function makeDirectories(path: string, mode: number): void {
  if (existsSync(path)) return
  if (dirname(path) !== path) makeDirectories(dirname(path), 0o755)
  mkdirSync(path, { mode })
}

/** What the file system said, as something the operator can act on. */
export function diskError(path: string, cause: unknown): unknown {
  const code = (cause as NodeJS.ErrnoException).code
  if (code === 'ENOSPC') return new OpsError(`the disk of ${path} is full`, 'Free some space, then start again.')
  if (code === 'EROFS')
    return new OpsError(`${path} is on a read-only file system`, 'Choose another place with --data.')
  if (code === 'EACCES' || code === 'EPERM') {
    return new OpsError(`${path} cannot be written by this user`, 'Run as root, or choose another place with --data.')
  }
  if (code === 'ENOENT' || code === 'EINVAL' || code === 'ENAMETOOLONG') {
    return new OpsError(`${path} cannot be made: ${code}`, 'Choose another place with --data.')
  }
  if (code === 'ENOTDIR' || code === 'EEXIST') {
    return new OpsError(`${path}: a part of this path is not a directory`, 'Choose another place with --data.')
  }
  return cause
}
