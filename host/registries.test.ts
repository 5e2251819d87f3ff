import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { silentLog } from '../lib/log.ts'
import { openKnownRegistries } from './known-registries.ts'
import {
  parseDeb822,
  parseOneLine,
  printAptSources,
  readRegistries,
  selectAptSources,
  selectNpmConfig,
  type Registries,
} from './registries.ts'
import { temporary } from './testing.ts'

const uris = (path: string, text: string, codename = 'bookworm'): string[] =>
  selectAptSources([{ path, text }], codename).map(
    ({ uri, suites, components }) => `${uri} ${suites.join('+')} ${components.join('+')}`,
  )

const lists: [string, string, string, string[]][] = [
  ['a plain line', 'sources.list', 'deb http://a.test/debian bookworm main', ['http://a.test/debian/ bookworm main']],
  [
    'a trailing slash stays one',
    'sources.list',
    'deb http://a.test/debian/ bookworm main',
    ['http://a.test/debian/ bookworm main'],
  ],
  [
    'updates and security',
    'sources.list',
    'deb https://a.test/d bookworm-updates main contrib\ndeb https://a.test/s bookworm-security main',
    ['https://a.test/d/ bookworm-updates main+contrib', 'https://a.test/s/ bookworm-security main'],
  ],
  [
    'comments, sources and other releases are skipped',
    'sources.list',
    '# deb http://a.test/ bookworm main\ndeb-src http://a.test/ bookworm main\ndeb http://a.test/ trixie main\ndeb http://a.test/ bookworm-backports main',
    [],
  ],
  [
    'a comment after the line',
    'sources.list',
    'deb http://a.test/ bookworm main # mine',
    ['http://a.test/ bookworm main'],
  ],
  [
    'credentials are cut out',
    'sources.list',
    'deb https://me:pw@a.test/ bookworm main',
    ['https://a.test/ bookworm main'],
  ],
  ['a CD is no registry', 'sources.list', 'deb cdrom:[Debian 12]/ bookworm main', []],
  ["a vendor's own component", 'sources.list.d/vendor.list', 'deb https://v.test/linux bookworm stable', []],
  ["a vendor's own suite", 'sources.list.d/vendor.list', 'deb https://v.test/apt vendor-bookworm main', []],
  [
    'a deb822 stanza',
    'sources.list.d/debian.sources',
    'Types: deb deb-src\nURIs: http://a.test/debian\nSuites: bookworm bookworm-updates sid\nComponents: main',
    ['http://a.test/debian/ bookworm+bookworm-updates main'],
  ],
  [
    'several URIs are as many sources',
    'sources.list.d/debian.sources',
    'Types: deb\nURIs: http://a.test/ http://b.test/\nSuites: bookworm\nComponents: main',
    ['http://a.test/ bookworm main', 'http://b.test/ bookworm main'],
  ],
  [
    'a disabled stanza is skipped',
    'sources.list.d/debian.sources',
    'Enabled: no\nTypes: deb\nURIs: http://a.test/\nSuites: bookworm\nComponents: main',
    [],
  ],
  [
    'names of fields in any case, comments inside',
    'sources.list.d/debian.sources',
    'types: deb\n# old\nuris: http://a.test/\nSUITES: bookworm\nComponents: main',
    ['http://a.test/ bookworm main'],
  ],
]

for (const [name, path, text, expected] of lists)
  test(`apt: ${name}`, () => assert.deepEqual(uris(path, text), expected))

test('apt: a third-party list with an official look counts only where there is nothing else', () => {
  const third = { path: '/etc/apt/sources.list.d/vendor.list', text: 'deb https://v.test/debian/12 bookworm main' }
  const own = {
    path: '/etc/apt/sources.list.d/debian.sources',
    text: 'Types: deb\nURIs: http://a.test/\nSuites: bookworm\nComponents: main',
  }
  assert.deepEqual(
    selectAptSources([third, own], 'bookworm').map((one) => one.uri),
    ['http://a.test/'],
  )
  assert.deepEqual(
    selectAptSources([third], 'bookworm').map((one) => one.uri),
    ['https://v.test/debian/12/'],
  )
})

test('apt: a mirror list gives its first mirror', () => {
  const file = { path: 'sources.list', text: 'deb mirror+file:/etc/apt/mirrors.txt jammy main universe' }
  const read = (path: string): string =>
    path === '/etc/apt/mirrors.txt' ? '# best\nhttp://m.test/ubuntu/\tpriority:1\n' : ''
  assert.deepEqual(
    selectAptSources([file], 'jammy', read).map((one) => one.uri),
    ['http://m.test/ubuntu/'],
  )
})

test('apt: keys are kept, as paths and inline', () => {
  assert.equal(parseOneLine('deb [ arch=amd64 signed-by=/k.gpg ] http://a.test/ bookworm main')[0]?.signedBy, '/k.gpg')
  const inline =
    'Types: deb\nURIs: http://a.test/\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN-----\n .\n abc\n -----END-----\n'
  const [source] = parseDeb822(inline)
  assert.equal(source?.signedBy, '-----BEGIN-----\n\nabc\n-----END-----')
  const printed = printAptSources(source === undefined ? [] : [source])
  assert.deepEqual(parseDeb822(printed), parseDeb822(inline), 'printed and read again it is the same')
})

test('npm: registries and scopes are taken, credentials are not', () => {
  const { npmrc, urls } = selectNpmConfig({
    registry: 'https://me:pw@n.test/npm',
    '@corp:registry': 'https://c.test/',
    '//n.test/:_authToken': 'hidden',
    _auth: 'hidden',
    cache: '/root/.npm',
    'other:registry': 'https://x.test/',
  })
  assert.deepEqual(urls, ['https://n.test/npm/', 'https://c.test/'])
  assert.equal(npmrc, 'registry=https://n.test/npm/\n@corp:registry=https://c.test/\n')
})

test('a whole machine: hosts once each, with the port where it is not the usual one', () => {
  using root = temporary()
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(root.path, path)), { recursive: true })
    writeFileSync(join(root.path, path), text)
  }
  put('etc/os-release', 'ID=debian\nVERSION_CODENAME=bookworm\n')
  put('etc/apt/sources.list', 'deb http://mirror.test:3142/debian bookworm main\n')
  put(
    'etc/apt/sources.list.d/debian.sources',
    'Types: deb\nURIs: http://a.test/ http://a.test:80/security\nSuites: bookworm\nComponents: main\n',
  )
  put('etc/apt/sources.list.d/old.list.disabled', 'deb http://off.test/ bookworm main\n')
  const found = readRegistries(root.path, { registry: 'https://n.test/' })
  assert.deepEqual(found.hosts, ['a.test', 'mirror.test:3142', 'n.test'])
  assert.equal(found.codename, 'bookworm')
})

test('a machine that is neither Debian nor Ubuntu has no package sources', () => {
  using root = temporary()
  assert.deepEqual(readRegistries(root.path, {}), { hosts: [], codename: '', apt: [], npmrc: '' })
})

test('a second start goes on with the registries found before, and a change is noticed', async () => {
  using directory = temporary()
  const path = join(directory.path, 'registries.json')
  const found = (host: string): Registries => ({ hosts: [host], codename: 'bookworm', apt: [], npmrc: '' })
  const open = (read: () => Promise<Registries>, onChange = () => {}) =>
    openKnownRegistries({ path, read, onChange, log: silentLog })
  const first = await open(async () => found('a.test'))
  assert.deepEqual(first.current().hosts, ['a.test'])
  const slow = Promise.withResolvers<Registries>()
  const changed = Promise.withResolvers<void>()
  const second = await open(() => slow.promise, changed.resolve)
  assert.deepEqual(second.current().hosts, ['a.test'])
  slow.resolve(found('b.test'))
  await changed.promise
  assert.deepEqual(second.current().hosts, ['b.test'])
  await assert.rejects(
    open(() => Promise.reject(new Error('no'))).then((known) => known.refresh()),
    /no/,
  )
})
