import { useNavigate } from '@tanstack/react-router'
import { useState, type ReactNode } from 'react'
import { createAgent, listAgents, type Personality } from '../../../contract/agents.ts'
import { listSecrets } from '../../../contract/egress.ts'
import { useDo } from '../../lib/api.ts'
import { useForm } from '../../lib/form.ts'
import { Link } from '../../lib/link.tsx'
import { emptyModel, modelBody, type ModelValues } from '../../lib/model-presets.ts'
import { showDone } from '../../lib/notify.ts'
import { Page } from '../../lib/page.tsx'
import { paths } from '../../lib/paths.ts'
import { Button, buttonClass } from '../../ui/button.tsx'
import { Card } from '../../ui/card.tsx'
import { TextArea, TextField } from '../../ui/field.tsx'
import { Icon } from '../../ui/icons.tsx'
import { FormError } from '../../ui/states.tsx'
import { ModelFields } from '../model-fields.tsx'
import { PersonalityPicker } from './personality-picker.tsx'

interface Values {
  name: string
  personality: Personality
  model: ModelValues
  allow: string
  cpus: string
  memoryMiB: string
  diskGiB: string
}

const initial: Values = {
  name: '',
  personality: { preset: 'assistant', soul: '', instructions: '', emoji: '' },
  model: emptyModel,
  allow: '',
  cpus: '2',
  memoryMiB: '2048',
  diskGiB: '10',
}

const toBody = (values: Values) => ({
  name: values.name,
  personality: values.personality,
  model: modelBody(values.model),
  allow: values.allow.split(/[\s,]+/).filter((host) => host !== ''),
  size: { cpus: Number(values.cpus), memoryMiB: Number(values.memoryMiB), diskGiB: Number(values.diskGiB) },
})

const fields = [
  'name',
  'personality.soul',
  'personality.instructions',
  'personality.emoji',
  'model.baseUrl',
  'model.id',
  'model.key',
  'model.secret',
  'model.api',
  'allow',
  'size.cpus',
  'size.memoryMiB',
  'size.diskGiB',
]
const advancedFields = ['allow', 'size.cpus', 'size.memoryMiB', 'size.diskGiB']

export function AgentCreatePage() {
  const navigate = useNavigate()
  const create = useDo(createAgent, { invalidates: [listAgents, listSecrets], errors: 'form' })
  const form = useForm({
    initial,
    schema: createAgent.body,
    toBody,
    fields,
    send: async (body) => {
      const agent = await create.mutateAsync({ body })
      showDone(`${agent.name} is being set up`)
      await navigate({ to: paths.agent(agent.id) })
    },
  })
  const { values } = form
  return (
    <Page title="New agent" help="Three things, and it is on its way. Everything can be changed later." narrow>
      <form
        noValidate
        aria-label="New agent"
        className="flex flex-col gap-5"
        onSubmit={(event) => {
          event.preventDefault()
          void form.submit()
        }}
      >
        <Step number={1} title="Name">
          <TextField
            label="Name"
            hideLabel
            placeholder="Ada"
            autoComplete="off"
            value={values.name}
            error={form.error('name')}
            onChange={(event) => form.set('name', event.target.value)}
          />
        </Step>
        <Step number={2} title="Personality">
          <PersonalityPicker
            name={values.name}
            value={values.personality}
            onChange={(personality) => form.set('personality', personality)}
            error={form.error}
          />
        </Step>
        <Step number={3} title="Model">
          <ModelFields values={values.model} onChange={(model) => form.set('model', model)} error={form.error} />
        </Step>
        <Advanced form={form} />
        <FormError told={form.problem} />
        <div className="flex flex-col-reverse gap-2 sm:flex-row sm:justify-end">
          <Link to={paths.agents()} className={buttonClass({ variant: 'ghost' })}>
            Cancel
          </Link>
          <Button type="submit" variant="primary" busy={form.busy}>
            Create agent
          </Button>
        </div>
      </form>
    </Page>
  )
}

function Step({ number, title, children }: { number: number; title: string; children: ReactNode }) {
  return (
    <Card>
      <section aria-label={title} className="flex flex-col gap-4 p-5 sm:p-6">
        <h2 className="flex items-center gap-2.5 text-base font-semibold tracking-tight">
          <span
            aria-hidden="true"
            className="grid size-6 place-items-center rounded-full bg-sunken text-xs font-semibold text-ink-2 tabular"
          >
            {number}
          </span>
          {title}
        </h2>
        {children}
      </section>
    </Card>
  )
}

function Advanced({ form }: { form: ReturnType<typeof useForm<Values, typeof createAgent.body>> }) {
  const [open, setOpen] = useState(false)
  // An error inside must be seen, so it opens the part that holds it.
  const shown = open || advancedFields.some((field) => form.error(field) !== undefined)
  const sizes = [
    ['cpus', 'CPUs', 'cores'],
    ['memoryMiB', 'Memory', 'MiB'],
    ['diskGiB', 'Disk', 'GiB'],
  ] as const
  return (
    <Card>
      <button
        type="button"
        aria-label="Network and size"
        aria-expanded={shown}
        onClick={() => setOpen(!shown)}
        className="flex w-full items-center gap-2.5 rounded-xl px-5 py-4 text-left sm:px-6"
      >
        <Icon name={shown ? 'down' : 'right'} className="size-4 text-ink-3" />
        <span className="text-base font-semibold tracking-tight">Network and size</span>
        <span className="text-ink-3 max-sm:hidden">Reaches only its model unless you allow more</span>
      </button>
      {shown && (
        <div className="flex flex-col gap-5 px-5 pb-6 sm:px-6">
          <TextArea
            label="Hosts it may reach"
            mono
            rows={3}
            placeholder={'api.github.com\n*.wikipedia.org'}
            help="One per line: an exact name, or *.example.com for its subdomains. The model’s endpoint needs no entry."
            value={form.values.allow}
            error={form.error('allow')}
            onChange={(event) => form.set('allow', event.target.value)}
          />
          <div className="grid gap-5 sm:grid-cols-3">
            {sizes.map(([field, label, unit]) => (
              <TextField
                key={field}
                label={label}
                aside={unit}
                inputMode="decimal"
                value={form.values[field]}
                error={form.error(`size.${field}`)}
                onChange={(event) => form.set(field, event.target.value)}
              />
            ))}
          </div>
        </div>
      )}
    </Card>
  )
}
