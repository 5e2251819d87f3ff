import { link, mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { proxyPort } from '../../../contract/network.ts'
import { SlopboxError } from '../../../contract/errors.ts'
import type { DriverFile } from '../../driver.ts'
import type { Link } from './network.ts'
import { errorCode, isMissing, writeAtomic } from './layout.ts'
import type { SandboxPaths } from './layout.ts'
import type { State } from './state.ts'

const ca = '/etc/slopbox/ca.pem'
const bundle = '/etc/slopbox/ca-bundle.pem'
/** Ours in /etc/slopbox; a spec's file may not take their place. */
const reserved = new Set(['ca.pem', 'ca-bundle.pem'])

/** These variables replace a tool's own roots: they get the machine's roots and the egress CA together. */
const replacing = [
  'SSL_CERT_FILE',
  'CURL_CA_BUNDLE',
  'REQUESTS_CA_BUNDLE',
  'PIP_CERT',
  'GIT_SSL_CAINFO',
  'AWS_CA_BUNDLE',
  'CARGO_HTTP_CAINFO',
  'NIX_SSL_CERT_FILE',
  'CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE',
  'HTTPLIB2_CA_CERTS',
  'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH',
  'npm_config_cafile',
]
const adding = ['NODE_EXTRA_CA_CERTS', 'DENO_CERT']

/** Environment of everything that runs in a sandbox. Later groups win: ours, the template's, the spec's. */
export function sandboxEnv(state: State, link: Link): Record<string, string> {
  const proxy = `http://${link.hostAddress}:${proxyPort}`
  const local = 'localhost,127.0.0.1,::1'
  const { account, spec } = state
  return {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: account.home,
    USER: account.name,
    LANG: 'C.UTF-8',
    ...Object.fromEntries(replacing.map((name) => [name, bundle])),
    ...Object.fromEntries(adding.map((name) => [name, ca])),
    ...Object.fromEntries(
      ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'GRPC_PROXY'].flatMap((name) => [
        [name, proxy],
        [name.toLowerCase(), proxy],
      ]),
    ),
    DOCKER_HTTP_PROXY: proxy,
    DOCKER_HTTPS_PROXY: proxy,
    NO_PROXY: local,
    no_proxy: local,
    NODE_USE_ENV_PROXY: '1',
    // Java reads no proxy variables.
    JAVA_TOOL_OPTIONS: ['http', 'https']
      .map((scheme) => `-D${scheme}.proxyHost=${link.hostAddress} -D${scheme}.proxyPort=${proxyPort}`)
      .join(' '),
    GIT_CONFIG_PARAMETERS: "'http.proxyAuthMethod=basic'",
    ...spec.template.env,
    ...spec.env,
  }
}

/** The machine's own trust store in one file, as Debian, Fedora and Alpine keep it. */
const trustStores = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/cert.pem']

/** Writes `ca.pem` and `ca-bundle.pem` into `directory`, from where every sandbox gets them. */
export async function writeAuthorities(directory: string, egressCaFile: string): Promise<void> {
  const own = (await readFile(egressCaFile, 'utf8')).trim()
  if (!own.includes('BEGIN CERTIFICATE'))
    throw new SlopboxError('invalid_request', `${egressCaFile} holds no PEM certificate`)
  let roots = ''
  for (const file of trustStores) {
    try {
      roots = (await readFile(file, 'utf8')).trim()
      break
    } catch (error) {
      if (!isMissing(error)) throw error
    }
  }
  await mkdir(directory, { recursive: true, mode: 0o755 })
  await writeAtomic(join(directory, 'ca.pem'), `${own}\n`, 0o644)
  await writeAtomic(join(directory, 'ca-bundle.pem'), `${roots}\n${own}\n`.trimStart(), 0o644)
}

/** Renews the two certificate files in the sandbox's /etc/slopbox; linked, so that a hundred sandboxes share one copy. */
export async function linkAuthorities(directory: string, paths: SandboxPaths): Promise<void> {
  for (const name of reserved) {
    await rm(join(paths.etc, name), { force: true })
    await link(join(directory, name), join(paths.etc, name))
  }
}

const filePath = /^[A-Za-z0-9][A-Za-z0-9._-]*(\/[A-Za-z0-9][A-Za-z0-9._-]*)*$/

/** Makes /etc/slopbox hold exactly these files (and the certificates). Each is replaced in one step. */
export async function writeSpecFiles(paths: SandboxPaths, files: readonly DriverFile[], ends: Link): Promise<void> {
  for (const file of files) {
    if (!filePath.test(file.path) || reserved.has(file.path))
      throw new SlopboxError('invalid_request', `file ${JSON.stringify(file.path)} cannot be put under /etc/slopbox`)
  }
  const wanted = new Set([...files.map((file) => file.path), ...reserved])
  for (const entry of await readdir(paths.etc, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name).slice(paths.etc.length + 1)
    const kept = [...wanted].some((name) => name === path || (entry.isDirectory() && name.startsWith(`${path}/`)))
    if (!kept) await rm(join(paths.etc, path), { recursive: true, force: true })
  }
  for (const file of files) {
    const path = join(paths.etc, file.path)
    await mkdir(dirname(path), { recursive: true, mode: 0o755 })
    await writeAtomic(path, expandAddresses(file.content, ends), file.executable ? 0o755 : 0o644)
  }
}

/** Fills in the two placeholders of a spec file. */
export const expandAddresses = (text: string, ends: Link): string =>
  text.replaceAll('{{hostAddress}}', ends.hostAddress).replaceAll('{{sandboxAddress}}', ends.sandboxAddress)

/** resolv.conf, hosts and hostname. Names are answered by egress, at the host's end of the link. */
export async function writeNetFiles(paths: SandboxPaths, hostname: string, ends: Link): Promise<void> {
  await mkdir(paths.net, { recursive: true, mode: 0o755 })
  const files = {
    'resolv.conf': `nameserver ${ends.hostAddress}\noptions timeout:3 attempts:2\n`,
    hosts: `127.0.0.1 localhost\n${ends.sandboxAddress} ${hostname}\n`,
    hostname: `${hostname}\n`,
  }
  for (const [name, text] of Object.entries(files)) await writeAtomic(join(paths.net, name), text, 0o644)
}

/** True when the error says that something is there already. */
export const isThere = (error: unknown): boolean => errorCode(error) === 'EEXIST'
