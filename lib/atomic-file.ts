import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'

/**
 * Replaces a file as a whole: a reader, also after a crash, sees the old content or the new one; with `durable` (the
 * default) also after a power cut. Mode 0600 unless said otherwise. Throws what the file system throws, and leaves no
 * temporary file then.
 */
export function writeFileAtomic(
  path: string,
  content: string,
  options: { mode?: number; durable?: boolean } = {},
): void {
  const { mode = 0o600, durable = true } = options
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  const fd = openSync(temporary, 'wx', mode)
  try {
    try {
      writeSync(fd, content)
      if (durable) fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}
