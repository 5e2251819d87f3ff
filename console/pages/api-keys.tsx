import { useState } from 'react'
import { createKey, deleteKey, listKeys, type ApiKey } from '../../contract/people.ts'
import { useApi, useDo } from '../lib/api.ts'
import { useForm } from '../lib/form.ts'
import { formatAgo, formatDate } from '../lib/format.ts'
import { Loaded } from '../lib/loaded.tsx'
import { showDone } from '../lib/notify.ts'
import { useNow } from '../lib/now.ts'
import { Badge } from '../ui/badge.tsx'
import { Button } from '../ui/button.tsx'
import { Section } from '../ui/card.tsx'
import { Confirm } from '../ui/confirm.tsx'
import { CopyButton } from '../ui/copy-button.tsx'
import { Dialog, DialogActions } from '../ui/dialog.tsx'
import { SelectField, Switch, TextField } from '../ui/field.tsx'
import { Empty, FormError } from '../ui/states.tsx'
import { Table, type Column } from '../ui/table.tsx'

export function ApiKeys({ operator }: { operator: boolean }) {
  const keys = useApi(listKeys, { query: { limit: 200 } })
  const [creating, setCreating] = useState(false)
  const [created, setCreated] = useState<{ name: string; key: string } | null>(null)
  const [revoking, setRevoking] = useState<ApiKey | null>(null)
  const now = useNow(30_000)
  const revoke = useDo(deleteKey, {
    invalidates: [listKeys],
    errors: 'The key was not revoked',
    onDone: () => {
      showDone(`${revoking?.name ?? 'The key'} is revoked`)
      setRevoking(null)
    },
  })
  const close = (): void => {
    setCreating(false)
    setCreated(null)
  }
  return (
    <Section
      title="API keys"
      help="For the slopbox command, the SDK and your own programs"
      actions={
        <Button icon="plus" onClick={() => setCreating(true)}>
          New key
        </Button>
      }
    >
      <Loaded query={keys}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty icon="key" title="No keys yet" help="Make one to use Slopbox from a terminal or a program." />
          ) : (
            <Table caption="API keys" columns={columns(now, setRevoking)} rows={items} rowKey={(key) => key.id} />
          )
        }
      </Loaded>
      <Dialog
        open={creating}
        onClose={close}
        title={created === null ? 'New API key' : `${created.name} is ready`}
        help={created === null ? 'It may do whatever you may do' : 'Copy it now: it is shown this once'}
      >
        {created === null ? (
          <KeyForm operator={operator} onCancel={close} onCreated={setCreated} />
        ) : (
          <>
            <div className="flex items-center gap-2 rounded-lg border border-line bg-sunken p-2 pl-3">
              <code aria-label="The key" className="min-w-0 flex-1 font-mono text-xs break-all select-all">
                {created.key}
              </code>
              <CopyButton text={created.key} />
            </div>
            <DialogActions>
              <Button variant="primary" onClick={close}>
                Done
              </Button>
            </DialogActions>
          </>
        )}
      </Dialog>
      <Confirm
        open={revoking !== null}
        onClose={() => setRevoking(null)}
        title={`Revoke ${revoking?.name ?? ''}?`}
        help="Programs that use it are refused at once."
        action="Revoke key"
        busy={revoke.isPending}
        onConfirm={() => revoking !== null && revoke.mutate({ params: { id: revoking.id } })}
      />
    </Section>
  )
}

const columns = (now: number, onRevoke: (key: ApiKey) => void): readonly Column<ApiKey>[] => [
  {
    title: 'Name',
    cell: (key) => (
      <span className="flex flex-wrap items-center gap-2 font-medium">
        {key.name}
        {key.service && <Badge tone="warn">Service</Badge>}
      </span>
    ),
  },
  { title: 'Begins with', cell: (key) => <code className="font-mono text-xs text-ink-2">{key.start}…</code> },
  {
    title: 'Last used',
    wide: true,
    cell: (key) => (
      <span className="text-ink-2">{key.lastUsedAt === null ? 'Never' : formatAgo(key.lastUsedAt, now)}</span>
    ),
  },
  {
    title: 'Ends',
    wide: true,
    cell: (key) => <span className="text-ink-2">{key.expiresAt === null ? 'Never' : formatDate(key.expiresAt)}</span>,
  },
  {
    title: 'Revoke',
    hideTitle: true,
    right: true,
    cell: (key) => (
      <Button size="sm" variant="dangerGhost" aria-label={`Revoke ${key.name}`} onClick={() => onRevoke(key)}>
        Revoke
      </Button>
    ),
  },
]

function KeyForm(props: {
  operator: boolean
  onCancel: () => void
  onCreated: (created: { name: string; key: string }) => void
}) {
  const create = useDo(createKey, { invalidates: [listKeys], errors: 'form' })
  const form = useForm({
    initial: { name: '', ends: '90', service: false },
    schema: createKey.body,
    toBody: ({ name, ends, service }) => ({ name, service, expiresInDays: ends === 'never' ? null : Number(ends) }),
    fields: ['name', 'expiresInDays'],
    send: async (body) => props.onCreated(await create.mutateAsync({ body })),
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
        placeholder="my laptop"
        autoComplete="off"
        value={form.values.name}
        error={form.error('name')}
        onChange={(event) => form.set('name', event.target.value)}
      />
      <SelectField
        label="Ends"
        value={form.values.ends}
        error={form.error('expiresInDays')}
        options={[
          { value: '30', label: 'After 30 days' },
          { value: '90', label: 'After 90 days' },
          { value: '365', label: 'After a year' },
          { value: 'never', label: 'Never' },
        ]}
        onChange={(event) => form.set('ends', event.target.value)}
      />
      {props.operator && (
        <Switch
          label="Service key"
          help="May act for any user with X-User-Id"
          checked={form.values.service}
          onChange={(service) => form.set('service', service)}
        />
      )}
      <FormError told={form.problem} />
      <DialogActions>
        <Button onClick={props.onCancel}>Cancel</Button>
        <Button type="submit" variant="primary" busy={form.busy}>
          Create key
        </Button>
      </DialogActions>
    </form>
  )
}
