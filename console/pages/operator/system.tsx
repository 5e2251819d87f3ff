import { getAuthOptions, getSettings, updateSettings, type Settings } from '../../../contract/people.ts'
import { useApi, useDo } from '../../lib/api.ts'
import { useForm } from '../../lib/form.ts'
import { Loaded } from '../../lib/loaded.tsx'
import { showDone } from '../../lib/notify.ts'
import { Page } from '../../lib/page.tsx'
import { Button } from '../../ui/button.tsx'
import { Section } from '../../ui/card.tsx'
import { Switch, TextArea } from '../../ui/field.tsx'
import { FormError } from '../../ui/states.tsx'

export function SystemPage() {
  const settings = useApi(getSettings)
  return (
    <Page title="System" help="How this installation behaves. Changes apply within a second." narrow>
      <Loaded query={settings}>{(data) => <SettingsForms settings={data} />}</Loaded>
    </Page>
  )
}

function SettingsForms({ settings }: { settings: Settings }) {
  const toggle = useDo(updateSettings, {
    invalidates: [getSettings, getAuthOptions],
    errors: 'Sign-up was not changed',
    onDone: (saved) => showDone(saved.signUp ? 'Anyone may make an account' : 'Accounts are made by operators only'),
  })
  return (
    <div className="flex flex-col gap-9">
      <Section title="Accounts">
        <div className="p-4 sm:p-5">
          <Switch
            label="Sign-up"
            help="Anyone who reaches the console may make an account"
            checked={settings.signUp}
            onChange={(signUp) => toggle.mutate({ body: { signUp } })}
          />
        </div>
      </Section>
      <Section
        title="Allowed ranges"
        help="Private or reserved addresses that allowed hosts may resolve to, such as an internal registry or a model on this machine"
      >
        <TextSetting
          field="allowedRanges"
          label="Ranges"
          placeholder={'10.1.2.0/24\n127.0.0.1/32'}
          help="One per line, in CIDR notation. Everything private is refused otherwise."
          initial={settings.allowedRanges.join('\n')}
          toBody={(text) => ({ allowedRanges: text.split(/[\s,]+/).filter((range) => range !== '') })}
        />
      </Section>
      <Section
        title="Extra trust roots"
        help="Certificates trusted for connections to the outside, beside the machine’s own store"
      >
        <TextSetting
          field="extraRoots"
          label="Certificates"
          placeholder="-----BEGIN CERTIFICATE-----"
          help="PEM, one after the other"
          initial={settings.extraRoots}
          toBody={(text) => ({ extraRoots: text })}
        />
      </Section>
    </div>
  )
}

function TextSetting(props: {
  field: keyof Settings
  label: string
  placeholder: string
  help: string
  initial: string
  toBody: (text: string) => Partial<Settings>
}) {
  const update = useDo(updateSettings, { invalidates: [getSettings], errors: 'form' })
  const form = useForm({
    initial: { text: props.initial },
    schema: updateSettings.body,
    toBody: ({ text }) => props.toBody(text),
    fields: [props.field],
    send: async (body) => {
      await update.mutateAsync({ body })
      showDone(`${props.label} saved`)
    },
  })
  return (
    <form
      noValidate
      className="flex flex-col gap-4 p-4 sm:p-5"
      onSubmit={(event) => {
        event.preventDefault()
        void form.submit()
      }}
    >
      <TextArea
        label={props.label}
        hideLabel
        mono
        rows={4}
        spellCheck={false}
        placeholder={props.placeholder}
        help={props.help}
        value={form.values.text}
        error={form.error(props.field)}
        onChange={(event) => form.set('text', event.target.value)}
      />
      <FormError told={form.problem} />
      <div className="flex justify-end">
        <Button
          type="submit"
          busy={form.busy}
          aria-label={`Save ${props.label.toLowerCase()}`}
          why={form.values.text === props.initial ? 'Nothing has changed' : undefined}
        >
          Save
        </Button>
      </div>
    </form>
  )
}
