import { useState } from 'react'
import { getUsage, putBudget, type Usage } from '../../contract/usage.ts'
import { getAgent, listAgents } from '../../contract/agents.ts'
import { useDo } from '../lib/api.ts'
import { useForm } from '../lib/form.ts'
import { formatBytes, formatCents, formatDate } from '../lib/format.ts'
import { showDone } from '../lib/notify.ts'
import { verdictLooks } from '../lib/states.ts'
import { shareOf } from '../lib/totals.ts'
import { Badge } from '../ui/badge.tsx'
import { Button } from '../ui/button.tsx'
import { Card } from '../ui/card.tsx'
import { Dialog, DialogActions } from '../ui/dialog.tsx'
import { TextField } from '../ui/field.tsx'
import { Progress } from '../ui/progress.tsx'
import { FormError, Notice } from '../ui/states.tsx'

const tones = { within: 'accent', overage: 'warn', exceeded: 'bad' } as const

/** The team's plan in a period: what is included, what is used, what more may cost. */
export function PlanCard({ usage, current }: { usage: Usage; current: boolean }) {
  const [editing, setEditing] = useState(false)
  const look = verdictLooks[usage.verdict]
  const tone = tones[usage.verdict]
  return (
    <div className="flex flex-col gap-4">
      {usage.verdict === 'exceeded' && (
        <Notice
          tone="bad"
          title="Plan and budget are used up, so your agents are stopped"
          actions={
            <Button size="sm" onClick={() => setEditing(true)}>
              Raise the budget
            </Button>
          }
        >
          Nothing is lost: raising the budget brings them back as they were.
        </Notice>
      )}
      <Card className="grid gap-6 p-5 sm:grid-cols-2 sm:gap-10">
        <section aria-label="Plan" className="flex flex-col gap-3">
          <div className="flex h-8 items-center justify-between gap-3">
            <h2 className="text-base font-semibold tracking-tight">{usage.plan.name} plan</h2>
            <Badge tone={look.tone} dot>
              {look.label}
            </Badge>
          </div>
          <p className="text-ink-2 tabular">
            <span className="font-medium text-ink">{formatBytes(usage.bandwidthBytes)}</span> of{' '}
            {formatBytes(usage.includedBytes)} traffic
          </p>
          <Progress
            label="Included traffic used"
            share={shareOf(usage.bandwidthBytes, usage.includedBytes)}
            text={`${formatBytes(usage.bandwidthBytes)} of ${formatBytes(usage.includedBytes)}`}
            tone={tone}
          />
          <p className="text-xs text-ink-3">The period ends on {formatDate(usage.period.end)}</p>
        </section>
        <section aria-label="Overage" className="flex flex-col gap-3">
          <div className="flex h-8 items-center justify-between gap-3">
            <h2 className="text-base font-semibold tracking-tight">Overage</h2>
            {current && (
              <Button size="sm" onClick={() => setEditing(true)}>
                Set budget
              </Button>
            )}
          </div>
          <p className="text-ink-2 tabular">
            <span className="font-medium text-ink">{formatCents(usage.overageCents)}</span> of your{' '}
            {formatCents(usage.budgetCents)} budget
          </p>
          <Progress
            label="Overage budget used"
            share={shareOf(usage.overageCents, usage.budgetCents)}
            text={`${formatCents(usage.overageCents)} of ${formatCents(usage.budgetCents)}`}
            tone={tone}
          />
          <p className="text-xs text-ink-3">
            {formatCents(usage.plan.overageCentsPerGiB)} per GiB beyond the plan; at the budget agents stop
          </p>
        </section>
      </Card>
      <Dialog
        open={editing}
        onClose={() => setEditing(false)}
        title="Overage budget"
        help="The most you will pay in a month for traffic beyond the plan. When it is used up, agents are stopped, not destroyed."
      >
        <BudgetForm usage={usage} onDone={() => setEditing(false)} />
      </Dialog>
    </div>
  )
}

/** `12.50` → 1250; not a number of at most two decimals → NaN, which the schema refuses. */
const centsOf = (text: string): number =>
  /^\s*\d+([.,]\d{1,2})?\s*$/.test(text) ? Math.round(Number(text.trim().replace(',', '.')) * 100) : Number.NaN

function BudgetForm({ usage, onDone }: { usage: Usage; onDone: () => void }) {
  const put = useDo(putBudget, { invalidates: [getUsage, listAgents, getAgent], errors: 'form' })
  const form = useForm({
    initial: { budget: (usage.budgetCents / 100).toFixed(2) },
    schema: putBudget.body,
    toBody: ({ budget }) => ({ budgetCents: centsOf(budget) }),
    fields: ['budgetCents'],
    send: async (body) => {
      await put.mutateAsync({ body })
      showDone(`The budget is ${formatCents(body.budgetCents)}`)
      onDone()
    },
  })
  return (
    <form
      noValidate
      className="flex flex-col gap-4"
      onSubmit={(event) => {
        event.preventDefault()
        void form.submit()
      }}
    >
      <TextField
        label="Budget per month"
        aside="US dollars"
        inputMode="decimal"
        value={form.values.budget}
        error={form.error('budgetCents')}
        onChange={(event) => form.set('budget', event.target.value)}
      />
      <FormError told={form.problem} />
      <DialogActions>
        <Button onClick={onDone}>Cancel</Button>
        <Button type="submit" variant="primary" busy={form.busy}>
          Save budget
        </Button>
      </DialogActions>
    </form>
  )
}
