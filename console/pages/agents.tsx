import { listAgents, type Agent } from '../../contract/agents.ts'
import { getAgentUsage } from '../../contract/usage.ts'
import { useApi } from '../lib/api.ts'
import { sentence } from '../lib/errors.ts'
import { formatBytes, formatCount } from '../lib/format.ts'
import { Link } from '../lib/link.tsx'
import { useEagerMs } from '../lib/live.ts'
import { Loaded } from '../lib/loaded.tsx'
import { Page } from '../lib/page.tsx'
import { paths } from '../lib/paths.ts'
import { agentLooks, isTransitional, stepTexts } from '../lib/states.ts'
import { bandwidthOf, tokensOf } from '../lib/totals.ts'
import { Badge } from '../ui/badge.tsx'
import { buttonClass } from '../ui/button.tsx'
import { Card } from '../ui/card.tsx'
import { Icon } from '../ui/icons.tsx'
import { Empty, Skeleton } from '../ui/states.tsx'
import { AgentAvatar } from './agent-avatar.tsx'

export function AgentsPage() {
  const eagerMs = useEagerMs()
  const agents = useApi(
    listAgents,
    { query: { limit: 200 } },
    { every: (data) => (data?.items.some((agent) => isTransitional(agent.state)) === true ? eagerMs : 30_000) },
  )
  return (
    <Page
      title="Agents"
      help="Each one lives in a sandbox of its own and reaches only what you allow"
      actions={<NewAgentLink />}
    >
      <Loaded query={agents} skeleton={<CardsSkeleton />}>
        {({ items }) =>
          items.length === 0 ? (
            <Card>
              <Empty
                icon="agents"
                title="Create your first agent"
                help="Give it a name, a personality and a model. It gets a sealed sandbox, never sees your model key, and answers in your browser about half a minute later."
              >
                <NewAgentLink />
              </Empty>
            </Card>
          ) : (
            <ul aria-label="Agents" className="grid gap-4 sm:grid-cols-2 lg:grid-cols-3">
              {items.map((agent) => (
                <li key={agent.id} className="min-w-0">
                  <AgentCard agent={agent} />
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </Page>
  )
}

const NewAgentLink = () => (
  <Link to={paths.newAgent()} className={buttonClass({ variant: 'primary' })}>
    <Icon name="plus" />
    New agent
  </Link>
)

function AgentCard({ agent }: { agent: Agent }) {
  const look = agentLooks[agent.state]
  const note = agent.reason ?? (agent.step === null ? null : stepTexts[agent.step].title)
  return (
    <article
      aria-label={agent.name}
      className="relative flex h-full flex-col rounded-xl border border-line bg-surface shadow-card transition-colors hover:border-line-strong"
    >
      <div className="flex items-start gap-3 p-4">
        <AgentAvatar agent={agent} />
        <div className="flex min-w-0 flex-1 flex-col">
          <h2 className="truncate text-base font-semibold tracking-tight">
            <Link to={paths.agent(agent.id)} className="after:absolute after:inset-0 after:rounded-xl">
              {agent.name}
            </Link>
          </h2>
          <p className="truncate text-ink-3">{agent.model.id}</p>
        </div>
        <Badge tone={look.tone} dot>
          {look.label}
        </Badge>
      </div>
      {note !== null && agent.state !== 'running' && (
        <p className="mx-4 mb-3 line-clamp-2 text-ink-2" title={note}>
          {sentence(note)}
        </p>
      )}
      <UsageGlance id={agent.id} />
    </article>
  )
}

/** Usage of the month. Has no error state of its own: the agent's page shows it in full. */
function UsageGlance({ id }: { id: string }) {
  const usage = useApi(getAgentUsage, { params: { id } }, { freshMs: 60_000 })
  const figures: readonly (readonly [string, string | undefined])[] = [
    ['Tokens this month', usage.data && formatCount(tokensOf(usage.data.totals))],
    ['Traffic', usage.data && formatBytes(bandwidthOf(usage.data.totals))],
  ]
  return (
    <dl className="mt-auto flex gap-6 border-t border-line px-4 py-3">
      {figures.map(([name, value]) => (
        <div key={name} className="flex flex-col">
          <dt className="text-xs text-ink-3">{name}</dt>
          <dd className="font-medium tabular">
            {value ?? (usage.isPending ? <Skeleton className="my-1 h-3.5 w-12" /> : '–')}
          </dd>
        </div>
      ))}
    </dl>
  )
}

const CardsSkeleton = () => (
  <div role="status" aria-label="Loading" className="grid gap-4 sm:grid-cols-2 lg:grid-cols-3">
    {[0, 1, 2].map((card) => (
      <Card key={card} className="flex flex-col gap-4 p-4">
        <div className="flex items-center gap-3">
          <Skeleton className="size-10 rounded-xl" />
          <div className="flex flex-1 flex-col gap-2">
            <Skeleton className="h-4 w-2/3" />
            <Skeleton className="h-3 w-1/2" />
          </div>
        </div>
        <Skeleton className="h-4 w-3/4" />
      </Card>
    ))}
  </div>
)
