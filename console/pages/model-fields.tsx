import { modelApis } from '../../contract/agents.ts'
import { listSecrets } from '../../contract/egress.ts'
import { useApi } from '../lib/api.ts'
import { modelPresets, presetOf, withProvider, type ModelValues } from '../lib/model-presets.ts'
import { Choice, Segments } from '../ui/choice.tsx'
import { SelectField, TextField } from '../ui/field.tsx'

const apiNames: Record<(typeof modelApis)[number], string> = {
  'openai-completions': 'OpenAI chat completions',
  'openai-responses': 'OpenAI responses',
  'anthropic-messages': 'Anthropic messages',
}

/** Which model, where, and with which key. The key leaves the browser once and is shown never again. */
export function ModelFields(props: {
  values: ModelValues
  onChange: (values: ModelValues) => void
  error: (apiField: string) => string | undefined
}) {
  const { values, onChange, error } = props
  const preset = presetOf(values.provider)
  return (
    <div className="flex flex-col gap-5">
      <Choice
        legend="Provider"
        columns="grid-cols-2 sm:grid-cols-5"
        value={values.provider}
        options={modelPresets.map((one) => ({ value: one.id, title: one.name, detail: one.detail }))}
        onChange={(provider) => onChange(withProvider(values, provider))}
      />
      <div className="grid gap-5 sm:grid-cols-2">
        <TextField
          label="Endpoint"
          mono
          inputMode="url"
          placeholder="https://llm.example.com/v1"
          value={values.baseUrl}
          error={error('model.baseUrl')}
          onChange={(event) => onChange({ ...values, baseUrl: event.target.value })}
          {...(values.provider === 'ollama'
            ? { help: 'An address on this machine must be among the allowed ranges under System' }
            : {})}
        />
        <TextField
          label="Model"
          mono
          placeholder={preset.example}
          help="As the endpoint names it"
          value={values.modelId}
          error={error('model.id')}
          onChange={(event) => onChange({ ...values, modelId: event.target.value })}
        />
      </div>
      <ModelKey {...props} />
      {values.provider === 'custom' && (
        <SelectField
          label="API style"
          value={values.api}
          options={modelApis.map((api) => ({ value: api, label: apiNames[api] }))}
          error={error('model.api')}
          onChange={(event) => {
            const api = modelApis.find((one) => one === event.target.value)
            if (api !== undefined) onChange({ ...values, api })
          }}
        />
      )}
    </div>
  )
}

function ModelKey({ values, onChange, error }: Parameters<typeof ModelFields>[0]) {
  const secrets = useApi(listSecrets, { query: { limit: 200 } })
  const names = secrets.data?.items.map((secret) => secret.name) ?? []
  const preset = presetOf(values.provider)
  return (
    <div className="flex flex-col gap-3">
      <div className="flex flex-wrap items-center justify-between gap-2">
        <span className="font-medium">Key</span>
        <Segments
          label="Where the key comes from"
          value={values.auth}
          options={[
            { value: 'new', label: 'New key' },
            { value: 'secret', label: 'Stored secret' },
            { value: 'none', label: 'None' },
          ]}
          onChange={(auth) => onChange({ ...values, auth, secret: values.secret || (names[0] ?? '') })}
        />
      </div>
      {values.auth === 'new' && (
        <TextField
          label="Model key"
          hideLabel
          mono
          type="password"
          autoComplete="off"
          placeholder={preset.keyLooks ?? 'The key of your endpoint'}
          help="Stored encrypted and added to requests outside the sandbox. The agent only ever sees a placeholder."
          value={values.key}
          error={error('model.key')}
          onChange={(event) => onChange({ ...values, key: event.target.value })}
        />
      )}
      {values.auth === 'secret' && (
        <SelectField
          label="Secret"
          hideLabel
          value={values.secret}
          error={error('model.secret')}
          options={
            names.length === 0
              ? [{ value: '', label: 'No secrets stored yet' }]
              : names.map((n) => ({ value: n, label: n }))
          }
          onChange={(event) => onChange({ ...values, secret: event.target.value })}
        />
      )}
      {values.auth === 'none' && <p className="text-ink-2">Requests are sent without a key.</p>}
    </div>
  )
}
