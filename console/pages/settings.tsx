import { z } from 'zod'
import { getMe } from '../../contract/people.ts'
import { useApi } from '../lib/api.ts'
import { changePassword } from '../lib/auth.ts'
import { useForm } from '../lib/form.ts'
import { Loaded } from '../lib/loaded.tsx'
import { showDone } from '../lib/notify.ts'
import { Page } from '../lib/page.tsx'
import { setTheme, themes, useTheme, type Theme } from '../lib/theme.ts'
import { Button } from '../ui/button.tsx'
import { Facts, Section } from '../ui/card.tsx'
import { Segments } from '../ui/choice.tsx'
import { TextField } from '../ui/field.tsx'
import { FormError } from '../ui/states.tsx'
import { useSignOut } from './account-menu.tsx'
import { ApiKeys } from './api-keys.tsx'
import { SshKeys } from './ssh-keys.tsx'

const themeNames: Record<Theme, string> = { system: 'Like the system', light: 'Light', dark: 'Dark' }

export function SettingsPage() {
  const me = useApi(getMe)
  const theme = useTheme()
  const leave = useSignOut()
  return (
    <Page title="Settings" help="Your keys, your account and how the console looks" narrow>
      <div className="flex flex-col gap-9">
        <Loaded query={me}>{(data) => <ApiKeys operator={data.user.role === 'operator'} />}</Loaded>
        <SshKeys />
        <Section title="Appearance">
          <div className="flex flex-wrap items-center justify-between gap-3 p-4 sm:p-5">
            <span className="font-medium">Theme</span>
            <Segments
              label="Theme"
              value={theme}
              options={themes.map((one) => ({ value: one, label: themeNames[one] }))}
              onChange={setTheme}
            />
          </div>
        </Section>
        <Section
          title="Account"
          actions={
            <Button icon="signOut" onClick={() => void leave()}>
              Sign out
            </Button>
          }
        >
          <Loaded query={me}>
            {(data) => (
              <Facts
                items={[
                  { name: 'Name', value: data.user.name },
                  { name: 'Email', value: data.user.email },
                  { name: 'Team', value: data.team.name },
                  { name: 'Role', value: data.user.role === 'operator' ? 'Operator' : 'User' },
                  { name: 'User id', value: <code className="font-mono text-xs">{data.user.id}</code> },
                ]}
              />
            )}
          </Loaded>
        </Section>
        <Section title="Password" help="Changing it ends your other sessions">
          <PasswordForm />
        </Section>
      </div>
    </Page>
  )
}

const Passwords = z.object({ current: z.string().min(1), next: z.string().min(12).max(128) })

function PasswordForm() {
  const form = useForm({
    initial: { current: '', next: '' },
    schema: Passwords,
    toBody: (values) => values,
    fields: ['current', 'next'],
    send: async ({ current, next }) => {
      await changePassword(current, next)
      form.reset({ current: '', next: '' })
      showDone('The password is changed', 'Your other sessions are ended.')
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
      <div className="grid items-start gap-4 sm:grid-cols-2">
        <TextField
          label="Current password"
          type="password"
          autoComplete="current-password"
          value={form.values.current}
          error={form.error('current')}
          onChange={(event) => form.set('current', event.target.value)}
        />
        <TextField
          label="New password"
          type="password"
          autoComplete="new-password"
          help="At least 12 characters"
          value={form.values.next}
          error={form.error('next')}
          onChange={(event) => form.set('next', event.target.value)}
        />
      </div>
      <FormError told={form.problem} />
      <div className="flex justify-end">
        <Button type="submit" busy={form.busy}>
          Change password
        </Button>
      </div>
    </form>
  )
}
