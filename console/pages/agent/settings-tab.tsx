import { updateAgent, type Agent } from '../../../contract/agents.ts'
import { useDo } from '../../lib/api.ts'
import { useForm } from '../../lib/form.ts'
import { formatTime } from '../../lib/format.ts'
import { guessPreset, modelBody, type ModelValues } from '../../lib/model-presets.ts'
import { showDone } from '../../lib/notify.ts'
import { Button } from '../../ui/button.tsx'
import { Facts, Section } from '../../ui/card.tsx'
import { TextField } from '../../ui/field.tsx'
import { FormError } from '../../ui/states.tsx'
import { ModelFields } from '../model-fields.tsx'
import { agentReads } from './agent-reads.ts'

export function SettingsTab({ agent }: { agent: Agent }) {
  return (
    <div className="flex flex-col gap-9">
      <Section title="Name" help="Shown here and in its own UI">
        <NameForm agent={agent} />
      </Section>
      <Section title="Model" help="Applied while it runs">
        <ModelForm agent={agent} />
      </Section>
      <Section title="Details">
        <Facts
          items={[
            { name: 'Id', value: <code className="font-mono text-xs">{agent.id}</code> },
            { name: 'Sandbox', value: <code className="font-mono text-xs">{agent.sandbox?.id ?? 'none'}</code> },
            { name: 'Template', value: agent.sandbox?.template ?? '–' },
            { name: 'Isolation', value: agent.sandbox?.isolation ?? '–' },
            {
              name: 'Size',
              value: `${agent.size.cpus} CPU · ${agent.size.memoryMiB} MiB · ${agent.size.diskGiB} GiB disk`,
            },
            { name: 'Created', value: formatTime(agent.createdAt) },
          ]}
        />
      </Section>
    </div>
  )
}

function NameForm({ agent }: { agent: Agent }) {
  const update = useDo(updateAgent, { invalidates: agentReads, errors: 'form' })
  const form = useForm({
    initial: { name: agent.name },
    schema: updateAgent.body,
    toBody: (values) => values,
    fields: ['name'],
    send: async (body) => {
      await update.mutateAsync({ params: { id: agent.id }, body })
      showDone('The name is changed')
    },
  })
  return (
    <form
      noValidate
      className="flex flex-col gap-3 p-4 sm:p-5"
      onSubmit={(event) => {
        event.preventDefault()
        void form.submit()
      }}
    >
      <div className="flex items-start gap-3">
        <div className="min-w-0 flex-1">
          <TextField
            label="Name"
            hideLabel
            value={form.values.name}
            error={form.error('name')}
            onChange={(event) => form.set('name', event.target.value)}
          />
        </div>
        <Button
          type="submit"
          busy={form.busy}
          aria-label="Save name"
          why={form.values.name.trim() === agent.name ? 'Nothing has changed' : undefined}
        >
          Save
        </Button>
      </div>
      <FormError told={form.problem} />
    </form>
  )
}

function ModelForm({ agent }: { agent: Agent }) {
  const { model } = agent
  const update = useDo(updateAgent, { invalidates: agentReads, errors: 'form' })
  const initial: ModelValues = {
    provider: guessPreset(model.baseUrl),
    baseUrl: model.baseUrl,
    api: model.api,
    modelId: model.id,
    auth: model.secret === null ? 'none' : 'secret',
    key: '',
    secret: model.secret ?? '',
  }
  const form = useForm({
    initial,
    schema: updateAgent.body,
    toBody: (values) => ({ model: modelBody(values) }),
    fields: ['model.baseUrl', 'model.id', 'model.key', 'model.secret', 'model.api'],
    send: async (body) => {
      await update.mutateAsync({ params: { id: agent.id }, body })
      showDone('The model is changed')
    },
  })
  return (
    <form
      noValidate
      className="flex flex-col gap-5 p-4 sm:p-5"
      onSubmit={(event) => {
        event.preventDefault()
        void form.submit()
      }}
    >
      <ModelFields values={form.values} onChange={form.setAll} error={form.error} />
      <FormError told={form.problem} />
      <div className="flex justify-end">
        <Button type="submit" variant="primary" busy={form.busy}>
          Save model
        </Button>
      </div>
    </form>
  )
}
