import { Outlet, useLocation, useNavigate } from '@tanstack/react-router'
import { useEffect, useRef, useState } from 'react'
import type { Me } from '../../contract/people.ts'
import { getMe } from '../../contract/people.ts'
import { useApi } from '../lib/api.ts'
import { isCode, tell } from '../lib/errors.ts'
import { Link } from '../lib/link.tsx'
import { useLive } from '../lib/live.ts'
import { paths } from '../lib/paths.ts'
import { cn } from '../ui/cn.ts'
import { Icon, Logo, Spinner, type IconName } from '../ui/icons.tsx'
import { Failure } from '../ui/states.tsx'
import { AccountMenu, ThemeMenu } from './account-menu.tsx'

/** Everything behind the sign-in: navigation beside the page on wide screens, above it on narrow ones. */
export function Shell() {
  const me = useApi(getMe, {}, { freshMs: 60_000 })
  const location = useLocation()
  useLive(me.data !== undefined)
  useFocusOnArrival(location.pathname)
  const signedOut = isCode(me.error, 'unauthenticated')
  useSignInFirst(signedOut)
  if (signedOut) return null
  if (me.data === undefined)
    return (
      <main className="grid min-h-dvh place-items-center">
        {me.error === null ? (
          <span role="status" aria-label="Loading">
            <Spinner className="size-5 text-ink-3" />
          </span>
        ) : (
          <Failure told={tell(me.error)} onRetry={() => void me.refetch()} busy={me.isFetching} />
        )}
      </main>
    )
  return (
    <div className="flex min-h-dvh flex-col md:flex-row">
      <a
        href="#main"
        className="sr-only focus:not-sr-only focus:absolute focus:top-3 focus:left-3 focus:z-50 focus:rounded-lg focus:bg-solid focus:px-3 focus:py-2 focus:text-on-solid"
      >
        Skip to content
      </a>
      <Sidebar me={me.data} key={location.pathname} />
      <main id="main" tabIndex={-1} className="min-w-0 flex-1 outline-none">
        <Outlet />
      </main>
    </div>
  )
}

/** Leads to the sign-in page and, after it, back to where the reader was. Once: the address changes while it does. */
function useSignInFirst(signedOut: boolean): void {
  const navigate = useNavigate()
  useEffect(() => {
    if (!signedOut) return
    const { pathname, search } = window.location
    void navigate({ to: paths.signIn(), search: { to: pathname + search } as never, replace: true })
  }, [signedOut, navigate])
}

/** After going to another page the focus is at its beginning; changing a tab of the same page leaves it where it is. */
function useFocusOnArrival(pathname: string): void {
  const page = pathname.split('/').slice(0, 3).join('/')
  const shown = useRef(page)
  useEffect(() => {
    if (shown.current === page) return
    shown.current = page
    document.getElementById('main')?.focus({ preventScroll: true })
  }, [page])
}

/** Re-made on every page, so that the menu of narrow screens closes when one arrives. */
function Sidebar({ me }: { me: Me }) {
  const [open, setOpen] = useState(false)
  return (
    <div className="sticky top-0 z-20 flex shrink-0 flex-col border-line bg-canvas max-md:border-b md:h-dvh md:w-60 md:border-r">
      <div className="flex h-14 items-center justify-between px-4 md:h-16 md:px-5">
        <Link to={paths.agents()} className="flex items-center gap-2.5 rounded-md" aria-label="Slopbox, to your agents">
          <Logo />
          <span className="text-base font-semibold tracking-tight">slopbox</span>
        </Link>
        <button
          type="button"
          aria-label="Menu"
          aria-expanded={open}
          aria-controls="nav"
          onClick={() => setOpen(!open)}
          className="-mr-2 rounded-lg p-2 text-ink-2 hover:bg-sunken md:hidden"
        >
          <Icon name={open ? 'close' : 'menu'} className="size-5" />
        </button>
      </div>
      <div
        id="nav"
        className={cn(
          'flex-col gap-4 px-3 pt-1 pb-4 md:flex md:flex-1 md:overflow-y-auto',
          open ? 'flex max-md:max-h-[calc(100dvh-3.5rem)] max-md:overflow-y-auto' : 'hidden',
        )}
      >
        <nav aria-label="Main" className="flex flex-col gap-5">
          <NavList items={ownPages} />
          {me.user.role === 'operator' && <NavList title="Operator" items={operatorPages} />}
        </nav>
        <div className="mt-auto flex items-center justify-between gap-2 border-t border-line pt-3">
          <AccountMenu me={me} />
          <ThemeMenu />
        </div>
      </div>
    </div>
  )
}

type NavItem = readonly [to: string, label: string, icon: IconName]
const ownPages: readonly NavItem[] = [
  [paths.agents(), 'Agents', 'agents'],
  [paths.secrets(), 'Secrets', 'key'],
  [paths.usage(), 'Usage', 'chart'],
  [paths.settings(), 'Settings', 'gear'],
]
const operatorPages: readonly NavItem[] = [
  [paths.templates(), 'Templates', 'layers'],
  [paths.hosts(), 'Hosts', 'server'],
  [paths.users(), 'Users', 'users'],
  [paths.plans(), 'Plans', 'tag'],
  [paths.audit(), 'Audit', 'list'],
  [paths.system(), 'System', 'shield'],
]

function NavList({ title, items }: { title?: string; items: readonly NavItem[] }) {
  return (
    <div className="flex flex-col gap-1">
      {title !== undefined && <p className="px-2.5 pb-1 text-xs font-medium text-ink-3">{title}</p>}
      <ul className="flex flex-col gap-0.5">
        {items.map(([to, label, icon]) => (
          <li key={to}>
            <Link
              to={to}
              className="flex h-9 items-center gap-2.5 rounded-lg px-2.5 font-medium transition-colors max-md:h-10"
              activeClass="bg-surface text-ink shadow-card ring-1 ring-line"
              inactiveClass="text-ink-2 hover:bg-sunken hover:text-ink"
            >
              <Icon name={icon} className="size-[1.125rem]" />
              {label}
            </Link>
          </li>
        ))}
      </ul>
    </div>
  )
}
