import { getUsage } from '../../contract/usage.ts'
import { useApi } from '../lib/api.ts'
import { Loaded } from '../lib/loaded.tsx'
import { Page } from '../lib/page.tsx'
import { PlanCard } from './plan-card.tsx'
import { MonthPicker, UsageSkeleton, UsageView, useMonth } from './usage-view.tsx'

export function UsagePage() {
  const [month, setMonth] = useMonth()
  const usage = useApi(getUsage, { query: month === undefined ? {} : { month } }, { every: 30_000, keep: true })
  return (
    <Page
      title="Usage"
      help="Of all agents of your team, measured from outside their sandboxes"
      actions={<MonthPicker month={month} onChange={setMonth} />}
    >
      <Loaded query={usage} skeleton={<UsageSkeleton />}>
        {(data) => (
          <div className="flex flex-col gap-4">
            <PlanCard usage={data} current={month === undefined} />
            <UsageView usage={data} />
          </div>
        )}
      </Loaded>
    </Page>
  )
}
