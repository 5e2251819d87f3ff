import { useState } from 'react'
import { listSecrets, putSecret, SecretName, type Secret } from '../../contract/egress.ts'
import { useDo } from '../lib/api.ts'
import { useForm } from '../lib/form.ts'
import { showDone } from '../lib/notify.ts'
import { Button } from '../ui/button.tsx'
import { DialogActions } from '../ui/dialog.tsx'
import { TextArea, TextField } from '../ui/field.tsx'
import { FormError } from '../ui/states.tsx'

const schema = putSecret.body.extend({ name: SecretName })

/** Creates a secret, or replaces one's value and where it goes. */
export function SecretForm({ secret, onDone }: { secret: Secret | null; onDone: () => void }) {
  const put = useDo(putSecret, { invalidates: [listSecrets], errors: 'form' })
  const [advanced, setAdvanced] = useState(false)
  const form = useForm({
    initial: {
      name: secret?.name ?? '',
      value: '',
      hosts: secret?.hosts.join('\n') ?? '',
      header: secret?.header ?? 'authorization',
      format: secret?.format ?? 'Bearer {value}',
    },
    schema,
    toBody: (values) => ({ ...values, hosts: values.hosts.split(/[\s,]+/).filter((host) => host !== '') }),
    fields: ['name', 'value', 'hosts', 'header', 'format'],
    send: async ({ name, ...body }) => {
      await put.mutateAsync({ params: { name }, body })
      showDone(`${name} is stored`)
      onDone()
    },
  })
  const shown = advanced || form.error('header') !== undefined || form.error('format') !== undefined
  const text = (field: 'name' | 'value' | 'header' | 'format') => ({
    mono: true,
    value: form.values[field],
    error: form.error(field),
    autoComplete: 'off',
    spellCheck: false,
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
      {secret === null && <TextField label="Name" placeholder="GITHUB_TOKEN" {...text('name')} />}
      <TextField label="Value" type="password" {...text('value')} />
      <TextArea
        label="Hosts it may be sent to"
        mono
        rows={2}
        placeholder="api.github.com"
        help="Exact names, one per line; wildcards are refused"
        value={form.values.hosts}
        error={form.error('hosts')}
        onChange={(event) => form.set('hosts', event.target.value)}
      />
      {shown ? (
        <div className="grid gap-4 sm:grid-cols-2">
          <TextField label="Header" {...text('header')} />
          <TextField label="Format" help="{value} stands for the secret" {...text('format')} />
        </div>
      ) : (
        <p className="text-ink-2">
          Sent as <code className="font-mono text-xs">{`${form.values.header}: ${form.values.format}`}</code>{' '}
          <button
            type="button"
            className="font-medium text-accent underline-offset-2 hover:underline"
            onClick={() => setAdvanced(true)}
          >
            Change
          </button>
        </p>
      )}
      <FormError told={form.problem} />
      <DialogActions>
        <Button onClick={onDone}>Cancel</Button>
        <Button type="submit" variant="primary" busy={form.busy}>
          Store secret
        </Button>
      </DialogActions>
    </form>
  )
}
