import { lstat, rename, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode, isMissing } from './layout.ts'
import { command } from './process.ts'

/**
 * Makes an overlay's upper directory a layer of its own in the empty directory `to`: moved in one step, or copied with
 * devices and attributes when that lies on another file system. Owners are already as seen inside.
 */
export async function moveLayer(upper: string, to: string): Promise<void> {
  // Mount points that only we needed. A parent may be the tenant's link to one of our own directories: left alone then.
  if (await isDirectory(join(upper, 'run'))) await rm(join(upper, 'run/slopbox'), { recursive: true, force: true })
  if (await isDirectory(join(upper, 'etc'))) await removeIfEmpty(join(upper, 'etc/slopbox'))
  try {
    await rename(upper, to)
  } catch (error) {
    if (errorCode(error) !== 'EXDEV') throw error
    const copied = await command('cp', ['-a', '--', `${upper}/.`, to])
    if (copied.code !== 0) throw new Error(`cp ${upper}: ${copied.stderr.trim().slice(0, 500)}`, { cause: error })
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory()
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

async function removeIfEmpty(dir: string): Promise<void> {
  try {
    await rmdir(dir)
  } catch (error) {
    if (!isMissing(error) && !['ENOTEMPTY', 'ENOTDIR'].includes(errorCode(error) ?? '')) throw error
  }
}
