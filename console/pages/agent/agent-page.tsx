import { Navigate, useParams } from '@tanstack/react-router'
import { getAgent, type Agent } from '../../../contract/agents.ts'
import { useApi } from '../../lib/api.ts'
import { isCode } from '../../lib/errors.ts'
import { Link } from '../../lib/link.tsx'
import { useEagerMs } from '../../lib/live.ts'
import { Loaded } from '../../lib/loaded.tsx'
import { useTitle } from '../../lib/page.tsx'
import { agentTabs, isAgentTab, paths, type AgentTab } from '../../lib/paths.ts'
import { isTransitional } from '../../lib/states.ts'
import { buttonClass } from '../../ui/button.tsx'
import { Empty, Skeleton } from '../../ui/states.tsx'
import { ActivityTab } from './activity-tab.tsx'
import { AgentHeader } from './agent-header.tsx'
import { ChatTab } from './chat-tab.tsx'
import { NetworkTab } from './network-tab.tsx'
import { PersonalityTab } from './personality-tab.tsx'
import { SettingsTab } from './settings-tab.tsx'
import { AgentUsageTab } from './usage-tab.tsx'

const tabNames: Record<AgentTab, string> = {
  chat: 'Chat',
  personality: 'Personality',
  network: 'Network',
  usage: 'Usage',
  activity: 'Activity',
  settings: 'Settings',
}

export function AgentPage() {
  const { id = '', tab = '' } = useParams({ strict: false })
  const eagerMs = useEagerMs()
  const agent = useApi(
    getAgent,
    { params: { id } },
    { every: (data) => (data !== undefined && isTransitional(data.state) ? Math.min(eagerMs, 3_000) : 30_000) },
  )
  useTitle(agent.data?.name ?? 'Agent')
  if (!isAgentTab(tab)) return <Navigate to={paths.agent(id)} replace />
  if (agent.data === undefined && (isCode(agent.error, 'not_found') || isCode(agent.error, 'invalid_request')))
    return <AgentGone />
  return (
    <div className="mx-auto flex w-full max-w-5xl flex-col px-4 pt-6 pb-8 sm:px-8 sm:pt-9">
      <Loaded query={agent} skeleton={<HeaderSkeleton />}>
        {(data) => (
          <>
            <AgentHeader agent={data} />
            <TabNav id={data.id} />
            <div className="pt-6">
              <TabContent tab={tab} agent={data} key={`${data.id}${tab}`} />
            </div>
          </>
        )}
      </Loaded>
    </div>
  )
}

function TabContent({ tab, agent }: { tab: AgentTab; agent: Agent }) {
  switch (tab) {
    case 'chat':
      return <ChatTab agent={agent} />
    case 'personality':
      return <PersonalityTab agent={agent} />
    case 'network':
      return <NetworkTab agent={agent} />
    case 'usage':
      return <AgentUsageTab agent={agent} />
    case 'activity':
      return <ActivityTab agent={agent} />
    case 'settings':
      return <SettingsTab agent={agent} />
  }
}

function TabNav({ id }: { id: string }) {
  return (
    <nav aria-label="Agent" className="-mx-4 mt-6 overflow-x-auto border-b border-line px-4 sm:mx-0 sm:px-0">
      <ul className="flex gap-5 sm:gap-6">
        {agentTabs.map((tab) => (
          <li key={tab}>
            <Link
              to={paths.agent(id, tab)}
              exact
              className="-mb-px block border-b-2 pt-1 pb-2.5 font-medium whitespace-nowrap -outline-offset-2 transition-colors"
              activeClass="border-ink text-ink"
              inactiveClass="border-transparent text-ink-2 hover:text-ink"
            >
              {tabNames[tab]}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  )
}

const AgentGone = () => (
  <div className="grid min-h-[60dvh] place-items-center">
    <Empty
      icon="agents"
      title="There is no such agent"
      help="It may have been destroyed, or it belongs to someone else."
    >
      <Link to={paths.agents()} className={buttonClass()}>
        Go to your agents
      </Link>
    </Empty>
  </div>
)

const HeaderSkeleton = () => (
  <div role="status" aria-label="Loading" className="flex flex-col gap-8">
    <div className="flex items-center gap-4">
      <Skeleton className="size-12 rounded-xl" />
      <div className="flex flex-col gap-2">
        <Skeleton className="h-5 w-40" />
        <Skeleton className="h-3.5 w-56" />
      </div>
    </div>
    <Skeleton className="h-8 w-full" />
    <Skeleton className="h-64 w-full rounded-xl" />
  </div>
)
