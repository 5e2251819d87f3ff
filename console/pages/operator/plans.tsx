import { useState } from 'react'
import { createPlan, getUsage, listPlans, updatePlan, type Plan } from '../../../contract/usage.ts'
import { useApi, useDo } from '../../lib/api.ts'
import { useForm } from '../../lib/form.ts'
import { formatCents } from '../../lib/format.ts'
import { Loaded } from '../../lib/loaded.tsx'
import { showDone } from '../../lib/notify.ts'
import { Page } from '../../lib/page.tsx'
import { Button } from '../../ui/button.tsx'
import { Card } from '../../ui/card.tsx'
import { Dialog, DialogActions } from '../../ui/dialog.tsx'
import { TextField } from '../../ui/field.tsx'
import { Empty, FormError } from '../../ui/states.tsx'
import { Table, type Column } from '../../ui/table.tsx'

export function PlansPage() {
  const plans = useApi(listPlans, { query: { limit: 200 } })
  const [editing, setEditing] = useState<Plan | 'new' | null>(null)
  const add = (
    <Button variant="primary" icon="plus" onClick={() => setEditing('new')}>
      New plan
    </Button>
  )
  return (
    <Page title="Plans" help="What a team may use in a month, and what more of it costs" actions={add}>
      <Card>
        <Loaded query={plans}>
          {({ items }) =>
            items.length === 0 ? (
              <Empty icon="tag" title="No plans" help="A plan says how much traffic and how many agents a team has.">
                {add}
              </Empty>
            ) : (
              <Table caption="Plans" columns={columns(setEditing)} rows={items} rowKey={(plan) => plan.id} />
            )
          }
        </Loaded>
      </Card>
      <Dialog
        open={editing !== null}
        onClose={() => setEditing(null)}
        title={editing === 'new' || editing === null ? 'New plan' : `Change ${editing.name}`}
        {...(editing === 'new' ? {} : { help: 'Applies to every team on this plan at once' })}
      >
        <PlanForm plan={editing === 'new' ? null : editing} onDone={() => setEditing(null)} />
      </Dialog>
    </Page>
  )
}

const columns = (onEdit: (plan: Plan) => void): readonly Column<Plan>[] => [
  { title: 'Plan', cell: (plan) => <span className="font-medium">{plan.name}</span> },
  { title: 'Traffic', right: true, cell: (plan) => <span className="tabular">{plan.bandwidthGiB} GiB</span> },
  {
    title: 'Overage',
    right: true,
    cell: (plan) => <span className="whitespace-nowrap tabular">{formatCents(plan.overageCentsPerGiB)} / GiB</span>,
  },
  { title: 'Agents', right: true, wide: true, cell: (plan) => <span className="tabular">{plan.maxAgents}</span> },
  {
    title: 'Change',
    hideTitle: true,
    right: true,
    cell: (plan) => (
      <Button size="sm" variant="ghost" aria-label={`Change ${plan.name}`} onClick={() => onEdit(plan)}>
        Change
      </Button>
    ),
  },
]

const numberFields = [
  ['bandwidthGiB', 'Traffic per month', 'GiB'],
  ['overageCentsPerGiB', 'Each GiB more', 'cents'],
  ['maxAgents', 'Agents', 'at most'],
] as const

function PlanForm({ plan, onDone }: { plan: Plan | null; onDone: () => void }) {
  const create = useDo(createPlan, { invalidates: [listPlans], errors: 'form' })
  const update = useDo(updatePlan, { invalidates: [listPlans, getUsage], errors: 'form' })
  const form = useForm({
    initial: {
      name: plan?.name ?? '',
      bandwidthGiB: String(plan?.bandwidthGiB ?? 100),
      overageCentsPerGiB: String(plan?.overageCentsPerGiB ?? 10),
      maxAgents: String(plan?.maxAgents ?? 100),
    },
    schema: createPlan.body,
    toBody: (values) => ({
      name: values.name,
      bandwidthGiB: Number(values.bandwidthGiB),
      overageCentsPerGiB: Number(values.overageCentsPerGiB),
      maxAgents: Number(values.maxAgents),
    }),
    fields: ['name', 'bandwidthGiB', 'overageCentsPerGiB', 'maxAgents'],
    send: async (body) => {
      const saved =
        plan === null ? await create.mutateAsync({ body }) : await update.mutateAsync({ params: { id: plan.id }, body })
      showDone(`${saved.name} is saved`)
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
        label="Name"
        value={form.values.name}
        error={form.error('name')}
        onChange={(event) => form.set('name', event.target.value)}
      />
      <div className="grid items-start gap-4 sm:grid-cols-3">
        {numberFields.map(([field, label, unit]) => (
          <TextField
            key={field}
            label={label}
            help={unit}
            inputMode="decimal"
            value={form.values[field]}
            error={form.error(field)}
            onChange={(event) => form.set(field, event.target.value)}
          />
        ))}
      </div>
      <FormError told={form.problem} />
      <DialogActions>
        <Button onClick={onDone}>Cancel</Button>
        <Button type="submit" variant="primary" busy={form.busy}>
          Save plan
        </Button>
      </DialogActions>
    </form>
  )
}
