import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { z } from 'zod'
import { ControlConfig } from '../control/config.ts'
import { EgressConfig } from '../egress/config.ts'
import { GatewayConfig } from '../gateway/config.ts'
import { HostConfig } from '../host/config.ts'
import { describeConfig } from '../lib/config.ts'
import { UpConfig } from '../ops/up/settings.ts'

const head = `# Configuration

Printed from the schemas by \`scripts/print-config.ts\`; a test holds it to them. What an operator changes while the system
runs (sign-up, allowed ranges, extra roots, plans) is in its settings: console, API or \`slopbox settings\`.

A variable that starts with \`SLOPBOX_\` and is not listed stops the start and is named.

## \`slopbox up\`

| Flag | Meaning |
|---|---|
| \`--data DIR\` | Where everything is kept. Default: \`~/.slopbox\`. |
| \`--port N\` | Port of the console and the API, HTTP and TLS. Default: the one used before, else 8480, else a free one. \`0\`: any free one. |
| \`--domain NAME\` | Public name; agents and sandboxes get names under it. Default: the one used before, else \`slopbox.localhost\`. |
| \`--listen ADDRESS\` | Address to listen on; may be repeated. Default: the ones used before, else loopback. |
| \`--ssh-listen ADDRESS:PORT\` | Where [SSH](operations.md#ssh) is served. Default: as before, at first 127.0.0.1:2222, or a free port when that is taken. \`off\`: nowhere. |
| \`--egress-listen ADDRESS:PORT\` | Forward proxy for [machines elsewhere](operations.md#machines-elsewhere). Default: as before, at first off. \`off\`: turn it off. |
| \`--detach\` | Come back when it is ready; it runs on until \`slopbox down\`. |
| \`--json\` | One JSON line on standard output when it is ready; everything else is on standard error. |
| \`--no-build\` | Do not wait for templates. |

\`DATABASE_URL\` (a \`postgres://\` address) replaces the embedded PostgreSQL. Proxy and trust variables of the machine
(\`https_proxy\`, \`no_proxy\`, \`SSL_CERT_FILE\`, \`NODE_EXTRA_CA_CERTS\` and the like) are passed on to every process.
`

const note = `## The processes

\`slopbox up\` sets these; they matter to whoever runs a process by hand or on another machine.
`

/** The whole page. */
export function configurationPage(): string {
  const processes: [string, z.ZodObject][] = [
    ['control', ControlConfig],
    ['host', HostConfig],
    ['egress', EgressConfig],
    ['gateway', GatewayConfig],
  ]
  const sections = processes.map(([name, schema]) => `### ${name}\n\n${table(schema)}`)
  return `${[head, `### Variables\n\n${table(UpConfig)}`, note, ...sections].join('\n')}`
}

function table(schema: z.ZodObject): string {
  const rows = describeConfig(schema).map(
    (entry) => `| \`${entry.name}\` | ${cell(entry.description)} | ${defaultOf(entry.default)} |`,
  )
  return `| Variable | Meaning | Default |\n|---|---|---|\n${rows.join('\n')}\n`
}

const cell = (text: string): string => text.replaceAll('|', '\\|')

function defaultOf(value: string | null): string {
  if (value === null) return 'required'
  return value === '' || value === '""' || value === 'null' ? '–' : `\`${value.replaceAll('"', '')}\``
}

if (import.meta.main) {
  writeFileSync(join(import.meta.dirname, '..', 'docs', 'configuration.md'), configurationPage())
}
