import { useState } from 'react'
import { createSshKey, deleteSshKey, listSshKeys, type SshKey } from '../../contract/ssh-keys.ts'
import { useApi, useDo } from '../lib/api.ts'
import { useForm } from '../lib/form.ts'
import { formatAgo } from '../lib/format.ts'
import { Loaded } from '../lib/loaded.tsx'
import { showDone } from '../lib/notify.ts'
import { useNow } from '../lib/now.ts'
import { Button } from '../ui/button.tsx'
import { Section } from '../ui/card.tsx'
import { Confirm } from '../ui/confirm.tsx'
import { Dialog, DialogActions } from '../ui/dialog.tsx'
import { TextArea, TextField } from '../ui/field.tsx'
import { Empty, FormError } from '../ui/states.tsx'
import { Table, type Column } from '../ui/table.tsx'

export function SshKeys() {
  const keys = useApi(listSshKeys, { query: { limit: 200 } })
  const [adding, setAdding] = useState(false)
  const [removing, setRemoving] = useState<SshKey | null>(null)
  const now = useNow(30_000)
  const remove = useDo(deleteSshKey, {
    invalidates: [listSshKeys],
    errors: 'The key was not removed',
    onDone: () => {
      showDone(`${removing?.name ?? 'The key'} is removed`)
      setRemoving(null)
    },
  })
  const close = (): void => setAdding(false)
  return (
    <Section
      title="SSH keys"
      help="For ssh, scp and port forwarding into your sandboxes and agents"
      actions={
        <Button icon="plus" onClick={() => setAdding(true)}>
          Add key
        </Button>
      }
    >
      <Loaded query={keys}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty icon="key" title="No SSH keys yet" help="Add your public key to open a shell in a sandbox." />
          ) : (
            <Table caption="SSH keys" columns={columns(now, setRemoving)} rows={items} rowKey={(key) => key.id} />
          )
        }
      </Loaded>
      <Dialog
        open={adding}
        onClose={close}
        title="Add an SSH key"
        help="The public half: the private one stays with you"
      >
        <KeyForm onCancel={close} onAdded={close} />
      </Dialog>
      <Confirm
        open={removing !== null}
        onClose={() => setRemoving(null)}
        title={`Remove ${removing?.name ?? ''}?`}
        help="Connections made with it are cut at once."
        action="Remove key"
        busy={remove.isPending}
        onConfirm={() => removing !== null && remove.mutate({ params: { id: removing.id } })}
      />
    </Section>
  )
}

const columns = (now: number, onRemove: (key: SshKey) => void): readonly Column<SshKey>[] => [
  { title: 'Name', cell: (key) => <span className="font-medium">{key.name}</span> },
  {
    title: 'Fingerprint',
    cell: (key) => <code className="font-mono text-xs break-all text-ink-2">{key.fingerprint}</code>,
  },
  { title: 'Type', wide: true, cell: (key) => <span className="text-ink-2">{key.type}</span> },
  {
    title: 'Last used',
    wide: true,
    cell: (key) => (
      <span className="text-ink-2">{key.lastUsedAt === null ? 'Never' : formatAgo(key.lastUsedAt, now)}</span>
    ),
  },
  {
    title: 'Remove',
    hideTitle: true,
    right: true,
    cell: (key) => (
      <Button size="sm" variant="dangerGhost" aria-label={`Remove ${key.name}`} onClick={() => onRemove(key)}>
        Remove
      </Button>
    ),
  },
]

function KeyForm(props: { onCancel: () => void; onAdded: () => void }) {
  const create = useDo(createSshKey, { invalidates: [listSshKeys], errors: 'form' })
  const form = useForm({
    initial: { publicKey: '', name: '' },
    schema: createSshKey.body,
    toBody: ({ publicKey, name }) => ({ publicKey, ...(name.trim() === '' ? {} : { name }) }),
    fields: ['publicKey', 'name'],
    send: async (body) => {
      const made = await create.mutateAsync({ body })
      showDone(`${made.name} is registered`)
      props.onAdded()
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
      <TextArea
        label="Public key"
        placeholder="ssh-ed25519 AAAA… ada@laptop"
        help="The line of ~/.ssh/id_ed25519.pub"
        spellCheck={false}
        value={form.values.publicKey}
        error={form.error('publicKey')}
        onChange={(event) => form.set('publicKey', event.target.value)}
      />
      <TextField
        label="Name"
        placeholder="the key's comment"
        autoComplete="off"
        value={form.values.name}
        error={form.error('name')}
        onChange={(event) => form.set('name', event.target.value)}
      />
      <FormError told={form.problem} />
      <DialogActions>
        <Button onClick={props.onCancel}>Cancel</Button>
        <Button type="submit" variant="primary" busy={form.busy}>
          Add key
        </Button>
      </DialogActions>
    </form>
  )
}
