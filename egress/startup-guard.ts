import { ConfigError } from '../lib/config.ts'

const laxFlags = [
  '--insecure-http-parser',
  '--max-http-header-size',
  '--tls-min-v1.0',
  '--tls-min-v1.1',
  '--tls-cipher-list',
  '--use-env-proxy',
  '--inspect',
]
const laxVariables = ['NODE_TLS_REJECT_UNAUTHORIZED', 'NODE_USE_ENV_PROXY', 'SSLKEYLOGFILE']

/**
 * Refuses to start under options of Node that would make requests readable in two ways, verification weaker, or secrets
 * visible to a debugger. Throws ConfigError naming the first.
 */
export function refuseLaxParsing(execArgv: readonly string[], env: Readonly<Record<string, string | undefined>>): void {
  const given = [...execArgv, ...(env['NODE_OPTIONS'] ?? '').split(/\s+/)].map((flag) => flag.replaceAll('_', '-'))
  const flag = laxFlags.find((lax) =>
    given.some((one) => one === lax || one.startsWith(`${lax}=`) || one.startsWith(`${lax}-`)),
  )
  if (flag !== undefined) throw new ConfigError(`node option ${flag}: must not be set for egress`)
  const variable = laxVariables.find((name) => env[name] !== undefined)
  if (variable !== undefined) throw new ConfigError(`${variable}: must not be set for egress`)
}
