/**
 * The package registries of this machine's own configuration: what its apt and npm are told to use is what template
 * builds use. No registry is named in the code, and credentials never leave the machine: they are cut out of URLs.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface AptSource {
  uri: string
  suites: readonly string[]
  components: readonly string[]
  /** Path of a keyring on this machine, or an inline key; null: apt's default keys. */
  signedBy: string | null
}

export interface Registries {
  /** Where builds may go: `host`, or `host:port` when the port is not the scheme's own. Sorted, each once. */
  hosts: readonly string[]
  codename: string
  apt: readonly AptSource[]
  /** An npm configuration file with the registries and nothing else. */
  npmrc: string
}

/** Parts of the distributions themselves; a list with only other names is somebody else's. */
const officialComponents = new Set([
  'main',
  'contrib',
  'non-free',
  'non-free-firmware',
  'restricted',
  'universe',
  'multiverse',
])
/** Where the distributions put their own lists; other files count only when these hold nothing. */
const ownLists = /(?:^|\/)(?:sources\.list|debian\.sources|ubuntu\.sources)$/

export interface SourceFile {
  path: string
  text: string
}

/** Sources of the running distribution's own suites, third-party lists left out. `readMirrors` gives a mirror list's text. */
export function selectAptSources(
  files: readonly SourceFile[],
  codename: string,
  readMirrors: (path: string) => string = () => '',
): AptSource[] {
  const suite = new RegExp(`^${codename}(?:-updates|-security)?$`)
  const select = (file: SourceFile): AptSource[] =>
    (file.path.endsWith('.sources') ? parseDeb822(file.text) : parseOneLine(file.text)).flatMap((source) => {
      const uri = cleanUri(source.uri, readMirrors)
      const suites = source.suites.filter((name) => suite.test(name))
      const components = source.components.filter((name) => officialComponents.has(name))
      return uri === undefined || suites.length === 0 || components.length === 0
        ? []
        : [{ ...source, uri, suites, components }]
    })
  const own = files.filter((file) => ownLists.test(file.path)).flatMap(select)
  return own.length > 0 ? own : files.flatMap(select)
}

/** sources.list(5), one-line style: `deb [option=value …] uri suite component …`. */
export function parseOneLine(text: string): AptSource[] {
  return text.split('\n').flatMap((line) => {
    const parts = /^\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)(.*)$/.exec(line.replace(/#.*/, ''))
    const [, options = '', uri, suite, rest = ''] = parts ?? []
    if (uri === undefined || suite === undefined) return []
    const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(options)?.[1] ?? null
    return [{ uri, suites: [suite], components: words(rest), signedBy }]
  })
}

/** sources.list(5), deb822 style; a stanza with several URIs is as many sources. */
export function parseDeb822(text: string): AptSource[] {
  return stanzas(text).flatMap((fields) => {
    if (/^(?:no|false|0|off|without|disable)$/i.test(fields.get('enabled') ?? 'yes')) return []
    if (!words(fields.get('types') ?? '').includes('deb')) return []
    const signedBy = fields.get('signed-by')?.trim() ?? ''
    return words(fields.get('uris') ?? '').map((uri) => ({
      uri,
      suites: words(fields.get('suites') ?? ''),
      components: words(fields.get('components') ?? ''),
      signedBy: signedBy === '' ? null : signedBy,
    }))
  })
}

function stanzas(text: string): Map<string, string>[] {
  const lines = text.split('\n').filter((line) => !line.startsWith('#'))
  return lines
    .join('\n')
    .split(/\n[ \t]*\n/)
    .map((block) => {
      const fields = new Map<string, string>()
      let last = ''
      for (const line of block.split('\n')) {
        const [, name, value = ''] = /^([A-Za-z-]+):\s*(.*)$/.exec(line) ?? []
        if (name !== undefined) fields.set((last = name.toLowerCase()), value)
        // A continued line; a single dot stands for an empty one (deb822(5)).
        else if (/^[ \t]/.test(line)) fields.set(last, `${fields.get(last) ?? ''}\n${line.trim().replace(/^\.$/, '')}`)
      }
      return fields
    })
}

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '')

/** An http(s) URI without credentials and with its slash; the first mirror of a `mirror+file:` list; else undefined. */
function cleanUri(uri: string, readMirrors: (path: string) => string): string | undefined {
  const list = /^mirror\+file:(?:\/\/)?(\/.*)$/.exec(uri)?.[1]
  const [first = ''] = list === undefined ? [uri] : words(readMirrors(list).replaceAll(/#.*/g, ''))
  if (!URL.canParse(first)) return undefined
  const url = new URL(first)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return undefined
  url.username = ''
  url.password = ''
  return url.href.replace(/\/*$/, '/')
}

/** deb822 text for the same sources. Inline keys keep their line structure. */
export function printAptSources(sources: readonly AptSource[]): string {
  return sources
    .map(({ uri, suites, components, signedBy }) => {
      const key =
        signedBy === null ? '' : `Signed-By: ${signedBy.replaceAll('\n\n', '\n.\n').replaceAll('\n', '\n ')}\n`
      return `Types: deb\nURIs: ${uri}\nSuites: ${suites.join(' ')}\nComponents: ${components.join(' ')}\n${key}`
    })
    .join('\n')
}

/** Only what names a registry, out of `npm config list --json`: anything else there may be a credential. */
export function selectNpmConfig(config: Readonly<Record<string, unknown>>): { npmrc: string; urls: string[] } {
  const chosen = Object.entries(config).flatMap(([name, value]): [string, string][] => {
    if (name !== 'registry' && !/^@[^:/\s]+:registry$/.test(name)) return []
    const uri = typeof value === 'string' ? cleanUri(value, () => '') : undefined
    return uri === undefined ? [] : [[name, uri]]
  })
  return { npmrc: chosen.map(([name, uri]) => `${name}=${uri}\n`).join(''), urls: chosen.map(([, uri]) => uri) }
}

/** Puts together what a machine uses. `root` is where its `/etc` hangs, so that tests can bring their own. */
export function readRegistries(root: string, npmConfig: Readonly<Record<string, unknown>>): Registries {
  const codename = /^VERSION_CODENAME="?([a-z]+)"?$/m.exec(readOr(join(root, 'etc/os-release')))?.[1] ?? ''
  const directory = join(root, 'etc/apt/sources.list.d')
  const names = listOr(directory).filter((name) => /\.(?:list|sources)$/.test(name))
  const paths = [join(root, 'etc/apt/sources.list'), ...names.toSorted().map((name) => join(directory, name))]
  const files = paths.map((path) => ({ path, text: readOr(path) }))
  const apt = codename === '' ? [] : selectAptSources(files, codename, (path) => readOr(join(root, path)))
  const npm = selectNpmConfig(npmConfig)
  const urls = [...apt.map((source) => source.uri), ...npm.urls]
  return { hosts: [...new Set(urls.map((uri) => new URL(uri).host))].toSorted(), codename, apt, npmrc: npm.npmrc }
}

const readOr = (path: string): string => ifThere(() => readFileSync(path, 'utf8')) ?? ''
const listOr = (path: string): string[] => ifThere(() => readdirSync(path)) ?? []

/** Undefined for what does not exist; other troubles are thrown. */
function ifThere<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return undefined
    throw error
  }
}
