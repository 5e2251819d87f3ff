import type { Agent } from '../../../contract/agents.ts'
import { getAgentUsage } from '../../../contract/usage.ts'
import { useApi } from '../../lib/api.ts'
import { Link } from '../../lib/link.tsx'
import { Loaded } from '../../lib/loaded.tsx'
import { paths } from '../../lib/paths.ts'
import { MonthPicker, UsageSkeleton, UsageView, useMonth } from '../usage-view.tsx'

export function AgentUsageTab({ agent }: { agent: Agent }) {
  const [month, setMonth] = useMonth()
  const usage = useApi(
    getAgentUsage,
    { params: { id: agent.id }, query: month === undefined ? {} : { month } },
    { every: 15_000, keep: true },
  )
  return (
    <div className="flex flex-col gap-4">
      <div className="flex flex-wrap items-center justify-between gap-3">
        <p className="text-ink-2">
          Of this agent. Plan and budget are shared by the team, under{' '}
          <Link to={paths.usage()} className="font-medium text-accent underline-offset-2 hover:underline">
            Usage
          </Link>
          .
        </p>
        <MonthPicker month={month} onChange={setMonth} />
      </div>
      <Loaded query={usage} skeleton={<UsageSkeleton />}>
        {(data) => <UsageView usage={data} />}
      </Loaded>
    </div>
  )
}
