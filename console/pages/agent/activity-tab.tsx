import { agentEvents, type Agent } from '../../../contract/agents.ts'
import { usePages } from '../../lib/api.ts'
import { sentence } from '../../lib/errors.ts'
import { formatAgo, formatTime } from '../../lib/format.ts'
import { Loaded } from '../../lib/loaded.tsx'
import { useNow } from '../../lib/now.ts'
import { Button } from '../../ui/button.tsx'
import { Section } from '../../ui/card.tsx'
import { Empty } from '../../ui/states.tsx'
import { LogView } from './log-view.tsx'

export function ActivityTab({ agent }: { agent: Agent }) {
  return (
    <div className="flex flex-col gap-9">
      <Events agent={agent} />
      <Section title="Process output" help="What the agent’s process prints, live">
        <LogView agent={agent} />
      </Section>
    </div>
  )
}

function Events({ agent }: { agent: Agent }) {
  const events = usePages(agentEvents, { params: { id: agent.id }, query: { limit: 30 } })
  const now = useNow(20_000)
  return (
    <Section title="Events" help="What happened to this agent, newest first">
      <Loaded query={events}>
        {(items) =>
          items.length === 0 ? (
            <Empty
              icon="list"
              title="Nothing has happened yet"
              help="Starts, stops, changes and failures appear here."
            />
          ) : (
            <>
              <ol aria-label="Events" className="divide-y divide-line">
                {items.map((event) => (
                  <li key={event.id} className="flex items-baseline justify-between gap-4 px-4 py-2.5 sm:px-5">
                    <div className="flex min-w-0 flex-col">
                      <span className="break-words">{sentence(event.message)}</span>
                      <span className="font-mono text-xs text-ink-3">{event.kind}</span>
                    </div>
                    <time dateTime={event.at} title={formatTime(event.at)} className="shrink-0 text-ink-2">
                      {formatAgo(event.at, now)}
                    </time>
                  </li>
                ))}
              </ol>
              {events.hasNextPage && (
                <div className="flex justify-center border-t border-line p-3">
                  <Button size="sm" busy={events.isFetchingNextPage} onClick={() => void events.fetchNextPage()}>
                    Show older
                  </Button>
                </div>
              )}
            </>
          )
        }
      </Loaded>
    </Section>
  )
}
