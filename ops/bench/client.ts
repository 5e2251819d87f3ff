import { readFileSync } from 'node:fs'
import { isIP, type LookupFunction } from 'node:net'
import { join } from 'node:path'
import { Agent, fetch as fetchOver } from 'undici'
import { Slopbox } from '../../sdk/index.ts'
import { OpsError } from '../say.ts'
import { readInstallation, type Installation } from '../setup/installation.ts'
import { readOperator } from '../up/operator.ts'
import { apiUrl, domainWithPort } from '../up/where.ts'

export interface BenchClient extends AsyncDisposable {
  client: Slopbox
}

/**
 * A client of the installation that runs on `data`, as one elsewhere would be: over TLS, under the installation's name,
 * checked against its CA. The name is not looked up, because not every resolver knows names under `localhost`.
 */
export function benchClient(data: string): BenchClient {
  const installation = readInstallation(join(data, 'installation.json'))
  const operator = readOperator(join(data, 'operator.json'))
  if (installation === null || operator === null)
    throw new OpsError(`there is no installation in ${data}`, 'Start it with `slopbox up`.')
  const ca = readFileSync(join(data, 'ca.pem'), 'utf8')
  const dispatcher = new Agent({ connect: { ca, lookup: toAddress(installation) } })
  const overTls: typeof fetch = async (input, init) => {
    const answer = await fetchOver(input as URL, { ...(init as object), dispatcher })
    return answer as unknown as Response
  }
  const client = new Slopbox({
    url: `https://${domainWithPort(installation)}`,
    apiKey: operator.apiKey,
    fetch: overTls,
  })
  return { client, [Symbol.asyncDispose]: () => dispatcher.destroy() }
}

function toAddress(installation: Installation): LookupFunction {
  const address = new URL(apiUrl(installation)).hostname.replaceAll(/[[\]]/g, '')
  const family = isIP(address)
  return (_name, options, done) => {
    if (options.all === true) done(null, [{ address, family }])
    else done(null, address, family)
  }
}
