import { join } from 'node:path'
import { isolations, type Isolation } from '../../contract/sandboxes.ts'
import { Slopbox } from '../../sdk/index.ts'
import { dataDirectory, placesOf } from '../paths.ts'
import { OpsError, sayOnStderr, type Say } from '../say.ts'
import { freshCell } from '../selftest/cells.ts'
import { layOut } from '../selftest/outside.ts'
import type { Case } from '../selftest/probe.ts'
import { runProbes } from '../selftest/run.ts'
import { readInstallation, type Installation } from '../setup/installation.ts'
import { readOperator } from '../up/operator.ts'
import { readFlags } from '../up/settings.ts'
import { apiUrl } from '../up/where.ts'

export const selftestUsage = 'slopbox selftest isolation [--isolation NAME] [--data DIR] [--json]'

/**
 * `slopbox selftest isolation`: tries to break out of a fresh sandbox of each isolation that the running installation
 * offers. Exit status 1 when something was not held.
 */
export async function selftest(args: readonly string[]): Promise<number> {
  const [what, ...rest] = args
  if (what !== 'isolation')
    throw new OpsError(`there is no self-test ${what ?? 'without a name'}`, `Usage: ${selftestUsage}`)
  const options = { isolation: { type: 'string' }, data: { type: 'string' }, json: { type: 'boolean' } } as const
  const flags = readFlags(rest, options, selftestUsage)
  const data = dataDirectory(flags.data)
  const installation = readInstallation(join(data, 'installation.json'))
  const operator = readOperator(join(data, 'operator.json'))
  if (installation === null || operator === null)
    throw new OpsError(`there is no installation in ${data}`, 'Start it with `slopbox up`.')
  const client = new Slopbox({ url: apiUrl(installation), apiKey: operator.apiKey })
  const cases: Case[] = []
  for (const isolation of await chosen(client, flags.isolation))
    cases.push(...(await examine(client, isolation, data, installation, sayOnStderr())))
  const held = cases.filter((entry) => entry.held).length
  process.stdout.write(
    flags.json === true ? `${JSON.stringify({ tried: cases.length, held, cases })}\n` : table(cases, held),
  )
  return held === cases.length ? 0 : 1
}

/** The isolation asked for, or all that some host offers. */
async function chosen(client: Slopbox, asked: string | undefined): Promise<Isolation[]> {
  const { items } = await client.admin.hosts()
  const offered = isolations.filter((name) =>
    items.some((host) => host.drivers.some((driver) => driver.isolations.includes(name))),
  )
  if (asked === undefined && offered.length > 0) return offered
  const found = offered.find((name) => name === asked)
  if (found !== undefined) return [found]
  throw new OpsError(
    asked === undefined ? 'no host is there to make a sandbox' : `no host offers the isolation ${asked}`,
    offered.length === 0 ? 'See `slopbox status`.' : `Offered: ${offered.join(', ')}.`,
  )
}

async function examine(
  client: Slopbox,
  isolation: Isolation,
  data: string,
  installation: Installation,
  say: Say,
): Promise<Case[]> {
  say(`isolation ${isolation}: starting two sandboxes, one to break out of and its neighbour`)
  await using prober = await freshCell(client, isolation)
  await using neighbour = await freshCell(client, isolation)
  const places = placesOf(data, installation.instance)
  const { http, tls, proxy, dns } = installation.egressPorts
  const internals = {
    paths: [data, places.run, ...Object.values(places.sockets), places.installation],
    ports: [installation.port, http, tls, proxy, dns],
  }
  await using outside = await layOut(prober, neighbour, internals)
  // Awaited here: the sandboxes are gone when this function is left.
  return await runProbes(prober, neighbour, outside, ({ held, probe }) =>
    say(`${held ? 'held' : 'NOT HELD'}  ${probe}`),
  )
}

function table(cases: readonly Case[], held: number): string {
  const lines = cases.map(
    ({ isolation, probe, tried, happened, held: ok }) =>
      `${ok ? '✓' : '✗'} ${isolation.padEnd(11)}${probe.padEnd(22)}${tried}\n  ${' '.repeat(33)}→ ${happened}`,
  )
  const verdict =
    held === cases.length
      ? `All ${cases.length} attempts were held.`
      : `${cases.length - held} of ${cases.length} attempts were NOT held.`
  return `${lines.join('\n')}\n\n${verdict}\n`
}
