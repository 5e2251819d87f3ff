import { Page } from '../../lib/page.tsx'
import { Card } from '../../ui/card.tsx'
import { Decisions } from '../decisions.tsx'

export function AuditPage() {
  return (
    <Page title="Audit" help="Everything a sandbox or a person tried, recorded exactly once, also when it failed">
      <Card>
        <Decisions />
      </Card>
    </Page>
  )
}
