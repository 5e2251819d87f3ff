import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { ensureDirectory } from '../files.ts'
import { OpsError } from '../say.ts'

/**
 * A mount namespace with a name: the host process finds the mounts of its sandboxes again after a restart, and nobody
 * else on the machine sees them. Pinned by a mount of it (namespaces(7)), which must lie on a mount that is not shared.
 */
export function ensureHostNamespace(run: string): string {
  const directory = join(run, 'namespaces')
  const file = join(directory, 'host')
  ensureDirectory(directory, 0o700, { uid: 0, gid: 0 })
  if (isNamespace(file)) return file
  if (!mountPoints().includes(directory)) command('mount', ['--bind', directory, directory])
  command('mount', ['--make-private', directory])
  if (!existsSync(file)) closeSync(openSync(file, 'w', 0o600))
  command('unshare', [`--mount=${file}`, '--propagation', 'private', 'true'])
  return file
}

/** Lets go of it; what is mounted inside ends with the last process that uses it. */
export function dropHostNamespace(run: string): void {
  const directory = join(run, 'namespaces')
  if (isNamespace(join(directory, 'host'))) command('umount', ['-l', join(directory, 'host')])
  if (mountPoints().includes(directory)) command('umount', ['-l', directory])
}

/** The second hierarchy of a machine that mixes cgroup v1 and v2, or null. */
export function hybridCgroup(mounts = readFileSync('/proc/self/mounts', 'utf8')): string | null {
  const lines = mounts.split('\n').map((line) => line.split(' '))
  const v1 = lines.some((fields) => fields[2] === 'cgroup')
  return v1 ? (lines.find((fields) => fields[2] === 'cgroup2')?.[1] ?? null) : null
}

function isNamespace(file: string): boolean {
  // A pinned namespace is a file of the kernel's own nsfs, which is never on the device of /run.
  return existsSync(file) && statSync(file).dev !== statSync(join(file, '..')).dev
}

function mountPoints(): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
}

function command(program: string, args: string[]): void {
  const run = spawnSync(program, args, { encoding: 'utf8' })
  if (run.status === 0) return
  throw new OpsError(
    `${program} ${args.join(' ')} failed: ${(run.stderr ?? run.error?.message ?? '').trim()}`,
    'Slopbox needs root with the right to mount (CAP_SYS_ADMIN); `slopbox doctor` tells what this machine allows.',
  )
}
