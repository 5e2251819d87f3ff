import { join } from 'node:path'
import * as probes from '../doctor/probes.ts'
import { dataDirectory } from '../paths.ts'
import { readInstallation } from '../setup/installation.ts'
import { readFlags } from '../up/settings.ts'

export const doctorUsage = 'slopbox doctor [--data DIR] [--json]'

/** `slopbox doctor`: looks, changes nothing. Exit status 1 when something is missing without which `up` cannot work. */
export async function doctor(args: readonly string[]): Promise<number> {
  const flags = readFlags(args, { data: { type: 'string' }, json: { type: 'boolean' } }, doctorUsage)
  const findings = await examine(dataDirectory(flags.data))
  const healthy = findings.every((entry) => entry.verdict !== 'missing')
  if (flags.json === true) process.stdout.write(`${JSON.stringify({ healthy, findings })}\n`)
  else process.stdout.write(printed(findings, healthy))
  return healthy ? 0 : 1
}

async function examine(data: string): Promise<probes.Finding[]> {
  const installation = readInstallation(join(data, 'installation.json'))
  return [
    probes.root(),
    probes.kernel(),
    probes.cgroups(),
    probes.userNamespaces(),
    probes.overlay(),
    probes.firewall(),
    probes.packages(),
    ...probes.runtimes(),
    probes.memory(),
    probes.disk(data),
    await probes.port(installation?.port ?? 8480, join(data, 'up.lock')),
    await probes.names(installation?.domain ?? 'slopbox.localhost'),
    ...probes.registries(),
  ]
}

function printed(findings: readonly probes.Finding[], healthy: boolean): string {
  const mark = { ok: '✓', limited: '–', missing: '✗' } as const
  const lines = findings.map(
    ({ name, verdict, detail, fix }) =>
      `${mark[verdict]} ${name.padEnd(20)}${detail}${fix === null || verdict === 'ok' ? '' : `\n  ${' '.repeat(20)}→ ${fix}`}`,
  )
  const verdict = healthy ? 'Slopbox can run here.' : 'Slopbox cannot run here yet: see the lines with ✗.'
  return `${[...lines, '', verdict].join('\n')}\n`
}
