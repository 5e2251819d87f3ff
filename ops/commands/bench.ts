import { join } from 'node:path'
import { Slopbox } from '../../sdk/index.ts'
import { measureStart } from '../bench/start.ts'
import { dataDirectory } from '../paths.ts'
import { OpsError, sayOnStderr } from '../say.ts'
import { readInstallation } from '../setup/installation.ts'
import { readOperator } from '../up/operator.ts'
import { readFlags } from '../up/settings.ts'
import { apiUrl } from '../up/where.ts'

export const benchUsage = 'slopbox bench start [-n COUNT] [--data DIR] [--json]'

/** `slopbox bench start`: from the API call to a healthy agent, split by stage, on the installation that runs. */
export async function bench(args: readonly string[]): Promise<number> {
  const [what, ...rest] = args
  if (what !== 'start') throw new OpsError(`there is no benchmark ${what ?? 'without a name'}`, `Usage: ${benchUsage}`)
  const options = { n: { type: 'string', short: 'n' }, data: { type: 'string' }, json: { type: 'boolean' } } as const
  const flags = readFlags(rest, options, benchUsage)
  const count = /^[1-9]\d{0,3}$/.test(flags.n ?? '5') ? Number(flags.n ?? '5') : null
  if (count === null) throw new OpsError(`-n ${flags.n} is not a count`, `Usage: ${benchUsage}`)
  const say = sayOnStderr()
  const figures = await measureStart(clientOf(dataDirectory(flags.data)), count, say)
  if (flags.json === true) process.stdout.write(`${JSON.stringify(figures)}\n`)
  else process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`)
  return 0
}

function clientOf(data: string): Slopbox {
  const installation = readInstallation(join(data, 'installation.json'))
  const operator = readOperator(join(data, 'operator.json'))
  if (installation === null || operator === null) {
    throw new OpsError(`there is no installation in ${data}`, 'Start it with `slopbox up`.')
  }
  return new Slopbox({ url: apiUrl(installation), apiKey: operator.apiKey })
}
