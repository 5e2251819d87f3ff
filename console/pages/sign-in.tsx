import { useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useEffect, useRef, useState, type ReactNode } from 'react'
import { z } from 'zod'
import { getAuthOptions, redeemSignInLink } from '../../contract/people.ts'
import { call } from '../../sdk/call.ts'
import { client, useApi } from '../lib/api.ts'
import { signIn, signUp, startSocialSignIn } from '../lib/auth.ts'
import { tell, type Told } from '../lib/errors.ts'
import { useForm } from '../lib/form.ts'
import { showError } from '../lib/notify.ts'
import { useTitle } from '../lib/page.tsx'
import { paths, safeReturn } from '../lib/paths.ts'
import { useFilters } from '../lib/search.ts'
import { Button } from '../ui/button.tsx'
import { Card } from '../ui/card.tsx'
import { TextField } from '../ui/field.tsx'
import { Logo, Spinner } from '../ui/icons.tsx'
import { FormError, Notice } from '../ui/states.tsx'
import { ThemeMenu } from './account-menu.tsx'

const Search = z.object({
  to: z.string().optional().catch(undefined),
  view: z.enum(['sign-in', 'sign-up']).default('sign-in').catch('sign-in'),
})

const linkToken = (): string | null => new URLSearchParams(location.hash.slice(1)).get('token')

export function SignInPage() {
  useTitle('Sign in')
  const [filters, setFilters] = useFilters(Search)
  const [token] = useState(linkToken)
  const [linkProblem, setLinkProblem] = useState<Told | null>(null)
  const options = useApi(getAuthOptions, {}, { freshMs: 60_000 })
  const enter = useEnter(safeReturn(filters.to))

  if (token !== null && linkProblem === null)
    return <Redeeming token={token} onDone={enter} onProblem={setLinkProblem} />
  const signingUp = filters.view === 'sign-up' && options.data?.signUp !== false
  return (
    <Frame title={signingUp ? 'Create your account' : 'Sign in to Slopbox'}>
      {linkProblem !== null && (
        <Notice tone="warn" title="This sign-in link does not work">
          {linkProblem.message}. Links work once and for a short time; sign in below, or have a new one printed with{' '}
          <code className="font-mono text-xs">slopbox up</code>.
        </Notice>
      )}
      <Card className="flex flex-col gap-5 p-5 sm:p-6">
        <Providers providers={options.data?.providers ?? []} to={safeReturn(filters.to)} />
        <EmailForm key={filters.view} signingUp={signingUp} onDone={enter} />
      </Card>
      {options.data?.signUp === true && (
        <p className="text-center text-ink-2">
          {signingUp ? 'Have an account?' : 'New here?'}{' '}
          <button
            type="button"
            className="font-medium text-accent underline-offset-2 hover:underline"
            onClick={() => setFilters({ view: signingUp ? 'sign-in' : 'sign-up' })}
          >
            {signingUp ? 'Sign in' : 'Create an account'}
          </button>
        </p>
      )}
    </Frame>
  )
}

function useEnter(to: string): () => void {
  const queries = useQueryClient()
  const navigate = useNavigate()
  return () => {
    queries.clear()
    void navigate({ href: to, replace: true })
  }
}

/** Trades the token once. The address is cleaned first, so that the token stays in no history entry. */
function Redeeming(props: { token: string; onDone: () => void; onProblem: (told: Told) => void }) {
  const begun = useRef(false)
  useEffect(() => {
    if (begun.current) return
    begun.current = true
    history.replaceState(history.state, '', paths.signIn())
    call(client, redeemSignInLink, { body: { token: props.token } }).then(props.onDone, (error: unknown) =>
      props.onProblem(tell(error)),
    )
  }, [props])
  return (
    <Frame title="Signing you in">
      <p role="status" className="flex items-center justify-center gap-2 text-ink-2">
        <Spinner /> One moment
      </p>
    </Frame>
  )
}

function Frame({ title, children }: { title: string; children: ReactNode }) {
  return (
    <main className="flex min-h-dvh flex-col">
      <div className="flex justify-end p-3">
        <ThemeMenu />
      </div>
      <div className="mx-auto flex w-full max-w-sm flex-1 flex-col justify-center gap-6 px-4 pb-24">
        <div className="flex flex-col items-center gap-4 text-center">
          <Logo className="size-11" />
          <div className="flex flex-col gap-1">
            <h1 className="text-xl font-semibold tracking-tight">{title}</h1>
            <p className="text-ink-2">Run AI agents that you don’t have to trust</p>
          </div>
        </div>
        {children}
      </div>
    </main>
  )
}

function Providers({ providers, to }: { providers: readonly { id: string; name: string }[]; to: string }) {
  if (providers.length === 0) return null
  const go = async (id: string): Promise<void> => {
    try {
      location.assign(await startSocialSignIn(id, to))
    } catch (error) {
      showError(error, 'Could not begin signing in')
    }
  }
  return (
    <>
      <div className="flex flex-col gap-2">
        {providers.map((provider) => (
          <Button key={provider.id} onClick={() => void go(provider.id)}>
            Continue with {provider.name}
          </Button>
        ))}
      </div>
      <p className="flex items-center gap-3 text-xs text-ink-3 before:h-px before:flex-1 before:bg-line after:h-px after:flex-1 after:bg-line">
        or with your email
      </p>
    </>
  )
}

const Credentials = z.object({ email: z.email(), password: z.string().min(1).max(128) })
const NewAccount = z.object({
  name: z.string().trim().min(1).max(100),
  email: z.email(),
  password: z.string().min(12).max(128),
})

function EmailForm({ signingUp, onDone }: { signingUp: boolean; onDone: () => void }) {
  const form = useForm({
    initial: { name: '', email: '', password: '' },
    schema: signingUp ? NewAccount : Credentials,
    toBody: (values) => values,
    fields: ['name', 'email', 'password'],
    send: async () => {
      const { name, email, password } = form.values
      await (signingUp ? signUp(name.trim(), email, password) : signIn(email, password))
      onDone()
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
      {signingUp && (
        <TextField
          label="Name"
          autoComplete="name"
          value={form.values.name}
          error={form.error('name')}
          onChange={(event) => form.set('name', event.target.value)}
        />
      )}
      <TextField
        label="Email"
        type="email"
        autoComplete="username"
        value={form.values.email}
        error={form.error('email')}
        onChange={(event) => form.set('email', event.target.value)}
      />
      <TextField
        label="Password"
        type="password"
        autoComplete={signingUp ? 'new-password' : 'current-password'}
        {...(signingUp ? { help: 'At least 12 characters' } : {})}
        value={form.values.password}
        error={form.error('password')}
        onChange={(event) => form.set('password', event.target.value)}
      />
      <FormError told={form.problem} />
      <Button type="submit" variant="primary" busy={form.busy}>
        {signingUp ? 'Create account' : 'Sign in'}
      </Button>
    </form>
  )
}
