import { parseArgs } from 'node:util'
import { isIP } from 'node:net'
import { z } from 'zod'
import { readConfig } from '../../lib/config.ts'
import { logLevels } from '../../lib/log.ts'
import { dataDirectory } from '../paths.ts'
import { findProgram } from '../setup/packages.ts'
import { OpsError } from '../say.ts'

const optional = z.string().min(1).optional()

/** Variables an operator may set for `slopbox up`; `DATABASE_URL` besides. */
export const UpConfig = z.object({
  SLOPBOX_LOG_LEVEL: z.enum(logLevels).default('info').describe('How much every process logs.'),
  SLOPBOX_DRIVER: z.enum(['oci', 'fake']).default('oci').describe('How this machine runs sandboxes.'),
  SLOPBOX_OCI_RUNTIME: z
    .enum(['crun', 'runc'])
    .optional()
    .describe('OCI runtime of the `oci` driver; crun where it is installed, else runc.'),
  SLOPBOX_EGRESS_CENTRAL_LISTEN: optional.describe('The same as `--egress-listen`, which goes before it.'),
  SLOPBOX_EGRESS_CENTRAL_URL: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('Where machines elsewhere reach the forward proxy, when that is not the address it listens on.'),
  SLOPBOX_GITHUB_CLIENT_ID: optional.describe('With the secret: people may sign in with GitHub.'),
  SLOPBOX_GITHUB_CLIENT_SECRET: optional.describe('Belongs to SLOPBOX_GITHUB_CLIENT_ID.'),
  SLOPBOX_GOOGLE_CLIENT_ID: optional.describe('With the secret: people may sign in with Google.'),
  SLOPBOX_GOOGLE_CLIENT_SECRET: optional.describe('Belongs to SLOPBOX_GOOGLE_CLIENT_ID.'),
  SLOPBOX_URL: optional.describe('For the other commands; `up` does not use it.'),
  SLOPBOX_API_KEY: optional.describe('For the other commands; `up` does not use it.'),
  SLOPBOX_USER_ID: optional.describe('For the other commands; `up` does not use it.'),
})

export interface UpSettings {
  data: string
  /** Null: the one used before, else 8480, else a free one. 0: the one used before, else a free one. */
  port: number | null
  domain: string | null
  listen: string[] | null
  /** `address:port` of the forward proxy for machines elsewhere; `off`: none. Null: as before. */
  egressListen: string | null
  /** Where SSH is served, or `off`. Null: as before, at first on loopback. */
  sshListen: string | null
  /** Where they reach it; null: under the address it listens on. */
  egressUrl: string | null
  detach: boolean
  json: boolean
  build: boolean
  logLevel: (typeof logLevels)[number]
  driver: 'oci' | 'fake'
  ociRuntime: 'crun' | 'runc'
  oauth: Record<string, string>
  databaseUrl: string | null
  /** The machine's own variables that say how it reaches the network, passed on to every process. */
  machine: Record<string, string>
}

/** Variables that companies set machine-wide for proxies and their own certificate authorities. */
const machineVariables = [
  'http_proxy',
  'https_proxy',
  'no_proxy',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'NODE_EXTRA_CA_CERTS',
  'TZ',
]

const options = {
  data: { type: 'string' },
  port: { type: 'string' },
  domain: { type: 'string' },
  listen: { type: 'string', multiple: true },
  'egress-listen': { type: 'string' },
  'ssh-listen': { type: 'string' },
  detach: { type: 'boolean' },
  json: { type: 'boolean' },
  'no-build': { type: 'boolean' },
} as const

export const upUsage = `slopbox up [--data DIR] [--port N] [--domain NAME] [--listen ADDRESS]… [--egress-listen ADDRESS:PORT] [--ssh-listen ADDRESS:PORT] [--detach] [--json] [--no-build]`

/** Flags and environment as one value. Throws an OpsError that names every fault before anything is touched. */
export function readUpSettings(args: readonly string[], env: NodeJS.ProcessEnv): UpSettings {
  const flags = readFlags(args, options, upUsage)
  const config = readConfig(UpConfig, env)
  const oauth = Object.fromEntries(
    Object.entries(config).flatMap(([name, value]) =>
      /_CLIENT_(ID|SECRET)$/.test(name) && typeof value === 'string' ? [[name, value]] : [],
    ),
  )
  for (const name of Object.keys(oauth)) {
    const other = name.endsWith('_ID') ? name.replace(/_ID$/, '_SECRET') : name.replace(/_SECRET$/, '_ID')
    if (oauth[other] === undefined) throw new OpsError(`${name} is set, but ${other} is not`, 'Set both, or neither.')
  }
  return {
    data: dataDirectory(flags.data),
    port: flags.port === undefined ? null : portNumber(flags.port),
    domain: flags.domain === undefined ? null : domainName(flags.domain),
    listen: flags.listen === undefined ? null : flags.listen.map(address),
    egressListen: listenAddress('egress-listen', flags['egress-listen'] ?? config.SLOPBOX_EGRESS_CENTRAL_LISTEN, 3129),
    sshListen: listenAddress('ssh-listen', flags['ssh-listen'], 2222),
    egressUrl: config.SLOPBOX_EGRESS_CENTRAL_URL ?? null,
    detach: flags.detach ?? false,
    json: flags.json ?? false,
    build: !(flags['no-build'] ?? false),
    logLevel: config.SLOPBOX_LOG_LEVEL,
    driver: config.SLOPBOX_DRIVER,
    ociRuntime:
      config.SLOPBOX_OCI_RUNTIME ?? (findProgram('crun') === null && findProgram('runc') !== null ? 'runc' : 'crun'),
    oauth,
    databaseUrl: databaseAddress(env['DATABASE_URL']),
    machine: Object.fromEntries(
      machineVariables.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name] ?? '']])),
    ),
  }
}

type FlagOptions = NonNullable<Parameters<typeof parseArgs>[0]>['options']

/** `parseArgs`, with its complaints in our words. */
export function readFlags<T extends NonNullable<FlagOptions>>(
  args: readonly string[],
  accepted: T,
  usage: string,
  positionals = false,
): ReturnType<typeof parseArgs<{ options: T; strict: true }>>['values'] {
  try {
    return parseArgs({ args: [...args], options: accepted, strict: true, allowPositionals: positionals }).values
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw new OpsError(error.message.split('. To specify')[0] ?? error.message, `Usage: ${usage}`)
  }
}

/** `192.0.2.1:3129`, `[2001:db8::1]:3129` or `off`. */
function listenAddress(flag: string, text: string | undefined, examplePort: number): string | null {
  if (text === undefined || text === 'off') return text ?? null
  const [, host = '', port = ''] = /^(\S+):(\d{1,5})$/.exec(text) ?? []
  const bare = host.replace(/^\[(.*)\]$/, '$1')
  const isAddress = isIP(bare) === (host === bare ? 4 : 6)
  if (isAddress && Number(port) >= 1 && Number(port) <= 65_535) return text
  throw new OpsError(
    `--${flag} ${text} is not an IP address with a port`,
    `For example --${flag} 10.0.0.5:${examplePort} or [2001:db8::5]:${examplePort}; \`off\` turns it off.`,
  )
}

function portNumber(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : -1
  if (port >= 0 && port <= 65_535) return port
  throw new OpsError(`--port ${text} is not a port`, 'Give a number from 1 to 65535, or 0 for any free one.')
}

function domainName(text: string): string {
  if (text.length <= 200 && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(text)) return text
  throw new OpsError(`--domain ${text} is not a lower-case host name`, 'For example --domain slopbox.example.com.')
}

function address(text: string): string {
  const bare = text.replace(/^\[|\]$/g, '')
  if (isIP(bare) !== 0) return bare
  throw new OpsError(`--listen ${text} is not an IP address`, 'For example --listen 0.0.0.0; the port is --port.')
}

function databaseAddress(text: string | undefined): string | null {
  if (text === undefined || text === '') return null
  if (/^postgres(ql)?:\/\//.test(text)) return text
  throw new OpsError('DATABASE_URL is not a postgres:// address', 'Unset it to use the embedded PostgreSQL.')
}
