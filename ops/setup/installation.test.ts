import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { ensureBase, ensureFile, writeAtomic } from '../files.ts'
import { OpsError } from '../say.ts'
import { ensureDataDirectory } from './directories.ts'
import { claimedSubnets, type Installation, newIdentity, readInstallation, writeInstallation } from './installation.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'slopbox-installation-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const installation: Installation = {
  version: 1,
  instance: 'ab12',
  subnet: '10.200.0.0/16',
  port: 8480,
  domain: 'slopbox.localhost',
  listen: ['127.0.0.1'],
  egressListen: null,
  sshListen: '127.0.0.1:2222',
  egressPorts: { http: 1, tls: 2, proxy: 3, dns: 4 },
  createdAt: '2026-11-21T00:00:00.000Z',
}

test('an installation is read as it was written, and absent before', () => {
  const file = join(directory, 'installation.json')
  assert.equal(readInstallation(file), null)
  writeInstallation(file, installation)
  assert.deepEqual(readInstallation(file), installation)
})

for (const [what, text] of [
  ['cut off', '{"version":1'],
  ['of another version', JSON.stringify({ ...installation, version: 2 })],
  ['with a field nobody knows', JSON.stringify({ ...installation, colour: 'red' })],
] as const) {
  test(`a file ${what} is refused by name`, () => {
    const file = join(directory, 'installation.json')
    writeFileSync(file, text)
    assert.throws(
      () => readInstallation(file),
      (error) => error instanceof OpsError && error.message.includes(file),
    )
  })
}

test('a new installation gets a name and a range that no other one uses', () => {
  mkdirSync(join(directory, 'aaaa'))
  writeFileSync(join(directory, 'aaaa', 'subnet'), '10.0.0.0/8\n')
  assert.deepEqual(claimedSubnets(directory, 'bbbb'), ['10.0.0.0/8'])
  assert.deepEqual(claimedSubnets(directory, 'aaaa'), [])
  const { instance, subnet } = newIdentity(directory)
  assert.match(instance, /^[0-9a-f]{4}$/)
  assert.notEqual(instance, 'aaaa')
  assert.match(subnet, /^172\./)
})

test('a secret file never has a wider mode, not even while it is written', () => {
  const file = join(directory, 'secret')
  writeFileSync(`${file}.new`, '', { mode: 0o644 })
  writeAtomic(file, 'x', 0o600)
  assert.equal(statSync(file).mode & 0o777, 0o600)
})

test('a file that is as it should be is left alone', () => {
  const file = join(directory, 'same')
  const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
  ensureFile(file, 'x', 0o600, owner)
  const { ino } = statSync(file)
  ensureFile(file, 'x', 0o600, owner)
  assert.equal(statSync(file).ino, ino)
  ensureFile(file, 'y', 0o600, owner)
  assert.notEqual(statSync(file).ino, ino)
})

test('a data directory under a file is an error with a next step', () => {
  writeFileSync(join(directory, 'file'), '')
  assert.throws(
    () => ensureBase(join(directory, 'file', 'data'), 0o711),
    (error) => error instanceof OpsError && /--data/.test(error.hint ?? ''),
  )
})

test('a place where no directory can be made is an error, not a wait', () => {
  assert.throws(
    () => ensureBase('/proc/slopbox/data', 0o711),
    (error) => error instanceof OpsError && /\/proc\/slopbox/.test(error.message),
  )
})

test('a directory that holds something else is refused and keeps its mode', () => {
  writeFileSync(join(directory, 'letter.txt'), '')
  chmodSync(directory, 0o755)
  assert.throws(() => ensureDataDirectory(directory), /is not a data directory of Slopbox: it holds letter\.txt/)
  assert.equal(statSync(directory).mode & 0o777, 0o755)
})

test('a disk of its own is taken although making its file system left something there', () => {
  mkdirSync(join(directory, 'lost+found'))
  ensureDataDirectory(directory)
  assert.equal(statSync(directory).mode & 0o777, 0o711)
})

test('a directory that an interrupted start left is taken again', () => {
  writeFileSync(join(directory, 'up.lock'), '')
  ensureDataDirectory(directory)
  writeFileSync(join(directory, 'installation.json'), '{}')
  writeFileSync(join(directory, 'anything'), '')
  ensureDataDirectory(directory)
  assert.equal(statSync(directory).mode & 0o777, 0o711)
})
