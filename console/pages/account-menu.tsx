import { useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import type { Me } from '../../contract/people.ts'
import { signOut } from '../lib/auth.ts'
import { showError } from '../lib/notify.ts'
import { paths } from '../lib/paths.ts'
import { setTheme, themes, useTheme, type Theme } from '../lib/theme.ts'
import { Icon, type IconName } from '../ui/icons.tsx'
import { Menu } from '../ui/menu.tsx'

/** Ends the session and forgets everything it showed. */
export function useSignOut(): () => Promise<void> {
  const queries = useQueryClient()
  const navigate = useNavigate()
  return async () => {
    try {
      await signOut()
      await navigate({ to: paths.signIn() })
      queries.clear()
    } catch (error) {
      showError(error, 'You are still signed in')
    }
  }
}

export function AccountMenu({ me }: { me: Me }) {
  const leave = useSignOut()
  const navigate = useNavigate()
  const name = me.user.name === '' ? me.user.email : me.user.name
  return (
    <Menu
      label={`Account of ${name}`}
      place="above"
      triggerClass="flex min-w-0 max-w-40 items-center gap-2.5 rounded-lg p-1.5 text-left hover:bg-sunken"
      trigger={
        <>
          <span className="grid size-7 shrink-0 place-items-center rounded-full bg-accent-soft text-xs font-semibold text-accent uppercase">
            {name.slice(0, 1)}
          </span>
          <span className="truncate font-medium">{name}</span>
        </>
      }
      header={
        <div className="mb-1 border-b border-line px-2.5 pt-1 pb-2">
          <p className="truncate font-medium">{me.user.email}</p>
          <p className="truncate text-xs text-ink-3">
            {me.team.name}
            {me.user.role === 'operator' && ' · Operator'}
          </p>
        </div>
      }
      items={[
        { label: 'Settings', icon: 'gear', onSelect: () => void navigate({ to: paths.settings() }) },
        { label: 'Sign out', icon: 'signOut', onSelect: () => void leave() },
      ]}
    />
  )
}

const themeLooks: Record<Theme, { icon: IconName; label: string }> = {
  system: { icon: 'system', label: 'Theme: like the system' },
  light: { icon: 'sun', label: 'Theme: light' },
  dark: { icon: 'moon', label: 'Theme: dark' },
}

/** One button that goes round: like the system, light, dark. */
export function ThemeMenu() {
  const theme = useTheme()
  const next = themes[(themes.indexOf(theme) + 1) % themes.length] ?? 'system'
  return (
    <button
      type="button"
      aria-label={themeLooks[theme].label}
      title={themeLooks[theme].label}
      onClick={() => setTheme(next)}
      className="rounded-lg p-2 text-ink-2 hover:bg-sunken hover:text-ink"
    >
      <Icon name={themeLooks[theme].icon} className="size-[1.125rem]" />
    </button>
  )
}
