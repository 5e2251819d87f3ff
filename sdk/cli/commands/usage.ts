import type { Command } from 'commander'
import { money as amount } from '../arguments.ts'
import { findAgent, type Context } from '../context.ts'
import { bytes, details, money } from '../output.ts'

export function usageCommands(program: Command, context: Context): void {
  program
    .command('usage')
    .description('what was used in a month, and the overage budget')
    .option('--agent <agent>', 'only this agent')
    .option('--month <yyyy-mm>', 'default: this month')
    .option('--set-budget <amount>', 'the most to pay for overage in a period', amount)
    .action(async (o: { agent?: string; month?: string; setBudget?: number }) => {
      const client = context.client()
      if (o.setBudget !== undefined) await client.usage.setBudget(o.setBudget)
      const usage =
        o.agent === undefined
          ? await client.usage.get(o.month)
          : await client.agents.usage((await findAgent(client, o.agent)).id, o.month)
      const t = usage.totals
      context.out.answer(usage, () =>
        details([
          ['period', `${usage.period.start.slice(0, 10)} to ${usage.period.end.slice(0, 10)}`],
          ['plan', usage.plan.name],
          ['bandwidth', `${bytes(usage.bandwidthBytes)} of ${bytes(usage.includedBytes)} included (${usage.verdict})`],
          ['overage', `${money(usage.overageCents)} of ${money(usage.budgetCents)} budget`],
          ['cpu', `${(t.cpu_ms / 3_600_000).toFixed(2)} h`],
          ['memory', `${(t.memory_mib_s / 1024 / 3600).toFixed(2)} GiB·h`],
          [
            'model',
            `${t.model_requests} requests, ${t.model_input_tokens} tokens in, ${t.model_output_tokens} tokens out`,
          ],
        ]),
      )
    })
}
