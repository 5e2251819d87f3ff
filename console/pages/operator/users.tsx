import { useState } from 'react'
import { adminCreateUser, adminListUsers, type User } from '../../../contract/people.ts'
import { useDo, usePages } from '../../lib/api.ts'
import { useForm } from '../../lib/form.ts'
import { formatDate } from '../../lib/format.ts'
import { Loaded } from '../../lib/loaded.tsx'
import { showDone } from '../../lib/notify.ts'
import { Page } from '../../lib/page.tsx'
import { Badge } from '../../ui/badge.tsx'
import { Button } from '../../ui/button.tsx'
import { Card } from '../../ui/card.tsx'
import { Dialog, DialogActions } from '../../ui/dialog.tsx'
import { SelectField, TextField } from '../../ui/field.tsx'
import { Empty, FormError } from '../../ui/states.tsx'
import { Table, type Column } from '../../ui/table.tsx'

export function UsersPage() {
  const users = usePages(adminListUsers, { query: { limit: 50 } })
  const [creating, setCreating] = useState(false)
  return (
    <Page
      title="Users"
      help="Everyone with an account here"
      actions={
        <Button variant="primary" icon="plus" onClick={() => setCreating(true)}>
          New user
        </Button>
      }
    >
      <Card>
        <Loaded query={users}>
          {(items) =>
            items.length === 0 ? (
              <Empty icon="users" title="No users" help="Create one, or let people sign up under System." />
            ) : (
              <>
                <Table caption="Users" columns={columns} rows={items} rowKey={(user) => user.id} />
                {users.hasNextPage && (
                  <div className="flex justify-center border-t border-line p-3">
                    <Button size="sm" busy={users.isFetchingNextPage} onClick={() => void users.fetchNextPage()}>
                      Show more
                    </Button>
                  </div>
                )}
              </>
            )
          }
        </Loaded>
      </Card>
      <Dialog
        open={creating}
        onClose={() => setCreating(false)}
        title="New user"
        help="They sign in with this email and password"
      >
        <UserForm onDone={() => setCreating(false)} />
      </Dialog>
    </Page>
  )
}

const columns: readonly Column<User>[] = [
  {
    title: 'User',
    cell: (user) => (
      <div className="flex min-w-0 flex-col">
        <span className="font-medium">{user.name}</span>
        <span className="break-all text-ink-2">{user.email}</span>
      </div>
    ),
  },
  {
    title: 'Role',
    cell: (user) => (
      <Badge tone={user.role === 'operator' ? 'busy' : 'idle'}>{user.role === 'operator' ? 'Operator' : 'User'}</Badge>
    ),
  },
  { title: 'Id', wide: true, cell: (user) => <code className="font-mono text-xs text-ink-2">{user.id}</code> },
  {
    title: 'Since',
    wide: true,
    right: true,
    cell: (user) => <span className="text-ink-2">{formatDate(user.createdAt)}</span>,
  },
]

function UserForm({ onDone }: { onDone: () => void }) {
  const create = useDo(adminCreateUser, { invalidates: [adminListUsers], errors: 'form' })
  const form = useForm({
    initial: { name: '', email: '', password: '', role: 'user' },
    schema: adminCreateUser.body,
    toBody: (values) => values,
    fields: ['name', 'email', 'password', 'role'],
    send: async (body) => {
      const user = await create.mutateAsync({ body })
      showDone(`${user.name} has an account`)
      onDone()
    },
  })
  const text = (field: 'name' | 'email' | 'password') => ({
    value: form.values[field],
    error: form.error(field),
    autoComplete: 'off',
    onChange: (event: { target: { value: string } }) => form.set(field, event.target.value),
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
      <TextField label="Name" {...text('name')} />
      <TextField label="Email" type="email" {...text('email')} />
      <TextField
        label="Password"
        type="password"
        help="At least 12 characters"
        {...text('password')}
        autoComplete="new-password"
      />
      <SelectField
        label="Role"
        value={form.values.role}
        error={form.error('role')}
        options={[
          { value: 'user', label: 'User: has agents' },
          { value: 'operator', label: 'Operator: also runs this installation' },
        ]}
        onChange={(event) => form.set('role', event.target.value)}
      />
      <FormError told={form.problem} />
      <DialogActions>
        <Button onClick={onDone}>Cancel</Button>
        <Button type="submit" variant="primary" busy={form.busy}>
          Create user
        </Button>
      </DialogActions>
    </form>
  )
}
