import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Navigate,
  Outlet,
} from '@tanstack/react-router'
import { paths } from './lib/paths.ts'
import { CrashPage, NotFoundPage } from './pages/not-found.tsx'
import { Shell } from './pages/shell.tsx'
import { SignInPage } from './pages/sign-in.tsx'

const root = createRootRoute({ component: Outlet, notFoundComponent: NotFoundPage, errorComponent: CrashPage })
const signIn = createRoute({ getParentRoute: () => root, path: '/sign-in', component: SignInPage })
const shell = createRoute({ getParentRoute: () => root, id: 'shell', component: Shell })

const home = createRoute({
  getParentRoute: () => shell,
  path: '/',
  component: () => <Navigate to={paths.agents()} replace />,
})
const agents = createRoute({
  getParentRoute: () => shell,
  path: '/agents',
  component: lazyRouteComponent(() => import('./pages/agents.tsx'), 'AgentsPage'),
})
const newAgent = createRoute({
  getParentRoute: () => shell,
  path: '/agents/new',
  component: lazyRouteComponent(() => import('./pages/create/agent-create.tsx'), 'AgentCreatePage'),
})
const agent = createRoute({
  getParentRoute: () => shell,
  path: '/agents/$id',
  component: function ToChat() {
    return <Navigate to={paths.agent(agent.useParams().id)} replace />
  },
})
const agentTab = createRoute({
  getParentRoute: () => shell,
  path: '/agents/$id/$tab',
  component: lazyRouteComponent(() => import('./pages/agent/agent-page.tsx'), 'AgentPage'),
})
const secrets = createRoute({
  getParentRoute: () => shell,
  path: '/secrets',
  component: lazyRouteComponent(() => import('./pages/secrets.tsx'), 'SecretsPage'),
})
const usage = createRoute({
  getParentRoute: () => shell,
  path: '/usage',
  component: lazyRouteComponent(() => import('./pages/usage.tsx'), 'UsagePage'),
})
const settings = createRoute({
  getParentRoute: () => shell,
  path: '/settings',
  component: lazyRouteComponent(() => import('./pages/settings.tsx'), 'SettingsPage'),
})
const templates = createRoute({
  getParentRoute: () => shell,
  path: '/operator/templates',
  component: lazyRouteComponent(() => import('./pages/operator/templates.tsx'), 'TemplatesPage'),
})
const hosts = createRoute({
  getParentRoute: () => shell,
  path: '/operator/hosts',
  component: lazyRouteComponent(() => import('./pages/operator/hosts.tsx'), 'HostsPage'),
})
const users = createRoute({
  getParentRoute: () => shell,
  path: '/operator/users',
  component: lazyRouteComponent(() => import('./pages/operator/users.tsx'), 'UsersPage'),
})
const plans = createRoute({
  getParentRoute: () => shell,
  path: '/operator/plans',
  component: lazyRouteComponent(() => import('./pages/operator/plans.tsx'), 'PlansPage'),
})
const audit = createRoute({
  getParentRoute: () => shell,
  path: '/operator/audit',
  component: lazyRouteComponent(() => import('./pages/operator/audit.tsx'), 'AuditPage'),
})
const system = createRoute({
  getParentRoute: () => shell,
  path: '/operator/settings',
  component: lazyRouteComponent(() => import('./pages/operator/system.tsx'), 'SystemPage'),
})

const own = [home, agents, newAgent, agent, agentTab, secrets, usage, settings]
const operators = [templates, hosts, users, plans, audit, system]

export const router = createRouter({
  routeTree: root.addChildren([signIn, shell.addChildren([...own, ...operators])]),
  defaultPreload: 'intent',
  defaultNotFoundComponent: NotFoundPage,
  defaultErrorComponent: CrashPage,
  scrollRestoration: true,
})
