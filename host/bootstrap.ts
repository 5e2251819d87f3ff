/**
 * The root in which a Debian or Ubuntu base is built: the tools for it, copied from the packages installed on this
 * machine. Only what packages ship under /usr (and a few of their directories in /etc) is taken, so nothing that this
 * machine's owner wrote gets into a sandbox.
 */
import { constants, existsSync, lstatSync, readFileSync, readlinkSync, type Stats } from 'node:fs'
import { copyFile, mkdir, readlink, symlink, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { SlopboxError } from '../contract/errors.ts'
import type { Registries } from './registries.ts'

const tools = ['mmdebstrap', 'apt', 'gpgv', 'ca-certificates', 'debian-archive-keyring', 'ubuntu-keyring']
const required = ['mmdebstrap', 'apt']
const taken = /^\/(?:usr|etc\/(?:ld\.so\.conf|dpkg|debconf\.conf|perl))(?:\/|$|\.)/
const leftOut = /^\/usr\/(?:local|src|share\/(?:doc|man|info|locale|zoneinfo|lintian))(?:\/|$)/
const merged = /^\/(?:bin|sbin|lib|lib32|lib64|libx32)(?=\/|$)/

export interface InstalledPackage {
  name: string
  architecture: string
  version: string
  essential: boolean
  depends: readonly (readonly string[])[]
  provides: readonly string[]
}

/** Packages of dpkg's status file that are installed. */
export function parseInstalled(status: string): InstalledPackage[] {
  return status.split('\n\n').flatMap((paragraph) => {
    const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(paragraph)?.[1] ?? ''
    if (!field('Status').endsWith(' installed')) return []
    const depends = [field('Pre-Depends'), field('Depends')].flatMap(relations)
    return [
      {
        name: field('Package'),
        architecture: field('Architecture'),
        version: field('Version'),
        essential: field('Essential') === 'yes',
        depends,
        provides: relations(field('Provides')).flat(),
      },
    ]
  })
}

/** `a (>= 1) | b:any, c` as [[a, b], [c]]. */
const relations = (text: string): string[][] =>
  text === '' ? [] : text.split(',').map((any) => any.split('|').map((one) => one.trim().replace(/[\s(:].*$/s, '')))

/** The named packages with everything they need, out of what is installed. Throws when a required one is not there. */
export function closure(installed: readonly InstalledPackage[]): InstalledPackage[] {
  const byName = Map.groupBy(installed, (found) => found.name)
  const providers = new Map<string, InstalledPackage[]>()
  for (const found of installed)
    for (const name of found.provides) providers.set(name, [...(providers.get(name) ?? []), found])
  const missing = required.filter((name) => !byName.has(name))
  if (missing.length > 0)
    throw new SlopboxError('unavailable', `not installed on this machine: ${missing.join(', ')}`, {
      hint: `Install it: apt-get install ${missing.join(' ')}`,
    })
  const wanted = new Set<InstalledPackage>()
  const todo = [...tools.flatMap((name) => byName.get(name) ?? []), ...installed.filter((found) => found.essential)]
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    if (wanted.has(next)) continue
    wanted.add(next)
    for (const name of next.depends.flat()) todo.push(...(byName.get(name) ?? providers.get(name) ?? []))
  }
  return [...wanted].toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/** Copies the tools and the keyrings into `to`, an existing empty directory. Owners are root's. */
export async function makeBootstrapRoot(
  to: string,
  packages: readonly InstalledPackage[],
  registries: Registries,
): Promise<void> {
  for (const name of ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'])
    if (isLink(`/${name}`)) await symlink(readlinkSync(`/${name}`), join(to, name))
  const listed = packages.flatMap(filesOf)
  const keyrings = registries.apt.flatMap(({ signedBy }) => (signedBy?.startsWith('/') ? [signedBy] : []))
  for (const path of new Set([...listed, ...keyrings])) await copy(path, to)
  for (const directory of [
    'dev',
    'proc',
    'sys',
    'run',
    'root',
    'out',
    'var/lib/dpkg',
    'var/cache/apt',
    'etc/ssl',
    'etc/apt/apt.conf.d',
  ])
    await mkdir(join(to, directory), { recursive: true })
  await mkdir(join(to, 'tmp'), { mode: 0o1777 })
  await writeFile(join(to, 'var/lib/dpkg/status'), '')
  await writeFile(
    join(to, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n',
  )
  await writeFile(join(to, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n')
  await writeFile(join(to, 'etc/nsswitch.conf'), 'passwd: files\ngroup: files\nhosts: files dns\n')
}

function filesOf({ name, architecture }: InstalledPackage): string[] {
  const info = '/var/lib/dpkg/info'
  const path = [`${info}/${name}:${architecture}.list`, `${info}/${name}.list`].find((list) => existsSync(list))
  if (path === undefined) return []
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && line !== '/.')
    .map((line) => (merged.test(line) && isLink(merged.exec(line)?.[0] ?? '') ? `/usr${line}` : line))
    .filter((line) => (taken.test(line) || merged.test(line)) && !leftOut.test(line))
}

async function copy(path: string, to: string): Promise<void> {
  const stat = statOr(path)
  if (stat === undefined) return
  const target = join(to, path)
  if (stat.isDirectory()) {
    await mkdir(target, { recursive: true })
    return
  }
  await mkdir(dirname(target), { recursive: true })
  if (statOr(target) !== undefined) return
  if (stat.isSymbolicLink()) {
    const link = await readlink(path)
    await symlink(link, target)
    // What alternatives point through lies in /etc, which no package lists.
    if (link.startsWith('/etc/alternatives/')) await copy(link, to)
  } else if (stat.isFile()) {
    await copyFile(path, target, constants.COPYFILE_FICLONE)
    // Compiled files are checked against the time of their source.
    await utimes(target, stat.atime, stat.mtime)
  }
}

function statOr(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false })
}

const isLink = (path: string): boolean => statOr(path)?.isSymbolicLink() === true

/** Where the sources and registries of this machine are put inside build sandboxes, under /etc/slopbox/. */
export const sourcesFile = 'build/machine.sources'
export const npmrcFile = 'build/npmrc'

/** Where drivers put this machine's trust store inside; apt reads no variable for it. */
const caBundle = '/etc/slopbox/ca-bundle.pem'

/**
 * The script that makes the base under /out. The build sandbox may neither mount nor make devices, so those stages are
 * skipped and plain files stand in for the devices that maintainer scripts write to; the driver covers /dev later.
 */
export function debianScript(codename: string, packages: readonly string[], keyrings: readonly string[]): string {
  const skipped = 'check/empty,chroot/mount,output/dev,output/mknod'
  const devices =
    'mkdir -p "$1/dev"; for name in null zero full random urandom tty; do : > "$1/dev/$name"; chmod 666 "$1/dev/$name"; done'
  const keys = keyrings.map((path) => `mkdir -p "$1${dirname(path)}"; [ -e "$1${path}" ] || cp ${path} "$1${path}"`)
  const tidy = [
    'rm -rf "$1/dev"',
    'mkdir "$1/dev"',
    'rm -f "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$1/etc/resolv.conf"',
    ...keys,
  ]
  const include = packages.length === 0 ? '' : `--include=${packages.join(',')} \\\n  `
  return `set -eu
ldconfig
exec mmdebstrap --mode=root --variant=minbase --format=directory --skip=${skipped} \\
  --dpkgopt=force-unsafe-io --aptopt='Acquire::https::CaInfo "${caBundle}"' ${include}--setup-hook='${devices}' --customize-hook='${tidy.join('; ')}' \\
  ${codename} /out /etc/slopbox/${sourcesFile}
`
}
