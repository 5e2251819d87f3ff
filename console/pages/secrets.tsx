import { useState } from 'react'
import { deleteSecret, listSecrets, type Secret } from '../../contract/egress.ts'
import { useApi, useDo } from '../lib/api.ts'
import { formatAgo, formatTime } from '../lib/format.ts'
import { Loaded } from '../lib/loaded.tsx'
import { showDone } from '../lib/notify.ts'
import { useNow } from '../lib/now.ts'
import { Page } from '../lib/page.tsx'
import { Button } from '../ui/button.tsx'
import { Card } from '../ui/card.tsx'
import { Confirm } from '../ui/confirm.tsx'
import { CopyButton } from '../ui/copy-button.tsx'
import { Dialog } from '../ui/dialog.tsx'
import { Empty } from '../ui/states.tsx'
import { Table, type Column } from '../ui/table.tsx'
import { SecretForm } from './secret-form.tsx'

export function SecretsPage() {
  const secrets = useApi(listSecrets, { query: { limit: 200 } })
  const [editing, setEditing] = useState<Secret | 'new' | null>(null)
  const [removing, setRemoving] = useState<Secret | null>(null)
  const now = useNow(30_000)
  const remove = useDo(deleteSecret, {
    invalidates: [listSecrets],
    errors: 'The secret was not deleted',
    onDone: () => {
      showDone(`${removing?.name ?? 'The secret'} is deleted`)
      setRemoving(null)
    },
  })
  const add = (
    <Button variant="primary" icon="plus" onClick={() => setEditing('new')}>
      New secret
    </Button>
  )
  return (
    <Page
      title="Secrets"
      help="Real credentials, added to requests outside the sandbox. Agents only ever see the placeholder."
      actions={add}
    >
      <Card>
        <Loaded query={secrets}>
          {({ items }) =>
            items.length === 0 ? (
              <Empty
                icon="key"
                title="No secrets yet"
                help="Store a token once and name the hosts it may be sent to. An agent uses the placeholder; the gate puts in the real value on the way out."
              >
                {add}
              </Empty>
            ) : (
              <Table
                caption="Secrets"
                columns={columns(now, setEditing, setRemoving)}
                rows={items}
                rowKey={(secret) => secret.id}
              />
            )
          }
        </Loaded>
      </Card>
      <Dialog
        open={editing !== null}
        onClose={() => setEditing(null)}
        title={editing === 'new' || editing === null ? 'New secret' : `Replace ${editing.name}`}
        help="The value is encrypted and never shown again"
      >
        <SecretForm secret={editing === 'new' ? null : editing} onDone={() => setEditing(null)} />
      </Dialog>
      <Confirm
        open={removing !== null}
        onClose={() => setRemoving(null)}
        title={`Delete ${removing?.name ?? ''}?`}
        help="Requests that need it are refused from then on."
        action="Delete secret"
        busy={remove.isPending}
        onConfirm={() => removing !== null && remove.mutate({ params: { name: removing.name } })}
      />
    </Page>
  )
}

const columns = (
  now: number,
  onReplace: (secret: Secret) => void,
  onRemove: (secret: Secret) => void,
): readonly Column<Secret>[] => [
  {
    title: 'Name',
    cell: (secret) => (
      <>
        <span className="font-medium wrap-anywhere">{secret.name}</span>
        <span className="block font-mono text-xs wrap-anywhere text-ink-2 md:hidden">{secret.hosts.join(', ')}</span>
      </>
    ),
  },
  {
    title: 'Sent to',
    wide: true,
    cell: (secret) =>
      secret.hosts.length === 0 ? (
        <span className="text-ink-3">No host yet</span>
      ) : (
        <ul className="font-mono text-xs text-ink-2">
          {secret.hosts.map((host) => (
            <li key={host} className="wrap-anywhere">
              {host}
            </li>
          ))}
        </ul>
      ),
  },
  {
    title: 'Placeholder',
    wide: true,
    cell: (secret) => (
      <span className="flex items-center gap-2">
        <code className="max-w-36 truncate font-mono text-xs text-ink-2">{secret.placeholder}</code>
        <CopyButton text={secret.placeholder} />
      </span>
    ),
  },
  {
    title: 'Changed',
    wide: true,
    cell: (secret) => (
      <time dateTime={secret.updatedAt} title={formatTime(secret.updatedAt)} className="whitespace-nowrap text-ink-2">
        {formatAgo(secret.updatedAt, now)}
      </time>
    ),
  },
  {
    title: 'Actions',
    hideTitle: true,
    right: true,
    cell: (secret) => (
      <span className="flex justify-end gap-1 max-sm:flex-col max-sm:items-end">
        <Button size="sm" variant="ghost" aria-label={`Replace ${secret.name}`} onClick={() => onReplace(secret)}>
          Replace
        </Button>
        <Button size="sm" variant="dangerGhost" aria-label={`Delete ${secret.name}`} onClick={() => onRemove(secret)}>
          Delete
        </Button>
      </span>
    ),
  },
]
