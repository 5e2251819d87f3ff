import type { Command } from 'commander'
import { collect, integer, secretFromInput } from '../arguments.ts'
import { findAgent, type Context } from '../context.ts'
import { bytes, details, printable, table } from '../output.ts'

export function egressCommands(program: Command, context: Context): void {
  addAllow(program, context)
  addSecret(program, context)
  program
    .command('egress')
    .description('what agents may reach')
    .command('check')
    .argument('<url>')
    .requiredOption('--agent <agent>', 'name or id')
    .description('would this be allowed, and by which rule?')
    .action(async (url: string, o: { agent: string }) => {
      const client = context.client()
      const check = await client.egress.check((await findAgent(client, o.agent)).id, url)
      context.out.answer(check, () => `${check.action}: ${printable(check.message)}`)
    })
  program
    .command('audit')
    .description('what was tried, newest first')
    .option('--agent <agent>', 'name or id')
    .option('--decision <allow|deny>', 'only these')
    .option('--host <host>', 'only this host')
    .option('-n, --limit <n>', 'records', integer(1, 200), 50)
    .action(async (o: { agent?: string; decision?: 'allow' | 'deny'; host?: string; limit: number }) => {
      const client = context.client()
      const agentId = o.agent === undefined ? undefined : (await findAgent(client, o.agent)).id
      const { items } = await client.egress.audit({ limit: o.limit, agentId, decision: o.decision, host: o.host })
      const rows = items.map((r) => [
        r.at,
        r.decision,
        r.kind,
        `${r.method ?? ''} ${r.host ?? ''}${r.path ?? ''}`.trim(),
        r.reason ?? String(r.status ?? ''),
        bytes(r.bytesOut),
        bytes(r.bytesIn),
      ])
      context.out.answer(items, () =>
        table(['TIME', 'DECISION', 'KIND', 'WHAT', 'RESULT', 'OUT', 'IN'], rows, 'Nothing was tried yet.'),
      )
    })
}

function addAllow(program: Command, context: Context): void {
  const allow = program.command('allow').description('hosts that agents may reach')
  allow
    .command('add')
    .argument('<host>', 'name, *.name for its subdomains, or address')
    .option('--agent <agent>', 'only for this agent')
    .option('--global', 'for everybody (operators)')
    .option('--port <port>', 'instead of 80 and 443', integer(1, 65_535))
    .option('--note <text>', 'why', '')
    .description('allow a host')
    .action(async (host: string, o: { agent?: string; global?: boolean; port?: number; note: string }) => {
      const client = context.client()
      const agentId = o.agent === undefined ? null : (await findAgent(client, o.agent)).id
      const rule = await client.egress.allow({
        host,
        port: o.port ?? null,
        note: o.note,
        agentId,
        scope: o.global === true ? 'global' : agentId === null ? 'team' : 'agent',
      })
      if (rule.warning !== null) context.out.note(printable(rule.warning))
      context.out.answer(rule, () => `${rule.host} is allowed (${rule.scope}, ${rule.id}).`)
    })
  allow
    .command('list')
    .option('--agent <agent>', 'what applies to this agent')
    .description('the rules that apply')
    .action(async (o: { agent?: string }) => {
      const client = context.client()
      const agentId = o.agent === undefined ? undefined : (await findAgent(client, o.agent)).id
      const { items } = await client.egress.rules({ limit: 200, agentId })
      context.out.answer(items, () =>
        table(
          ['HOST', 'PORT', 'SCOPE', 'ID', 'NOTE'],
          items.map((r) => [r.host, r.port === null ? '80,443' : String(r.port), r.scope, r.id, r.note]),
          'Nothing is allowed. Allow a host: slopbox allow add example.com',
        ),
      )
    })
  allow
    .command('remove')
    .argument('<id-or-host>')
    .description('remove a rule; open connections it allowed are closed')
    .action(async (which: string) => {
      const client = context.client()
      const { items } = await client.egress.rules({ limit: 200 })
      const id = items.find((rule) => rule.id === which || rule.host === which)?.id ?? which
      context.out.answer(await client.egress.removeRule(id), () => `${which} is no longer allowed.`)
    })
}

function addSecret(program: Command, context: Context): void {
  const secret = program.command('secret').description('credentials that sandboxes never see')
  secret
    .command('set')
    .argument('<name>')
    .option('--host <host>', 'exact host it may be sent to, may be repeated', collect, [])
    .option('--header <name>', 'header it is placed in', 'authorization')
    .option('--format <text>', 'value of the header', 'Bearer {value}')
    .description('create or replace; the value is read from standard input')
    .action(async (name: string, o: { host: string[]; header: string; format: string }) => {
      const value = await secretFromInput(`Value of ${name}`)
      const saved = await context
        .client()
        .secrets.set(name, { value, hosts: o.host, header: o.header, format: o.format })
      context.out.answer(saved, () =>
        details([
          ['name', saved.name],
          ['hosts', saved.hosts.join(', ') || '-'],
          ['placeholder', saved.placeholder],
        ]),
      )
    })
  secret
    .command('list')
    .description('names and places, never values')
    .action(async () => {
      const { items } = await context.client().secrets.list({ limit: 200 })
      context.out.answer(items, () =>
        table(
          ['NAME', 'HOSTS', 'HEADER', 'PLACEHOLDER'],
          items.map((s) => [s.name, s.hosts.join(', '), s.header, s.placeholder]),
          'No secrets. Store one: slopbox secret set github --host api.github.com',
        ),
      )
    })
  secret
    .command('remove')
    .argument('<name>')
    .description('delete a secret')
    .action(async (name: string) => {
      context.out.answer(await context.client().secrets.remove(name), () => `${name} is gone.`)
    })
}
