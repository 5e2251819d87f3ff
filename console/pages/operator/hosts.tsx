import { listHosts, type Host } from '../../../contract/templates.ts'
import { useApi } from '../../lib/api.ts'
import { formatAgo, formatTime } from '../../lib/format.ts'
import { Loaded } from '../../lib/loaded.tsx'
import { useNow } from '../../lib/now.ts'
import { Page } from '../../lib/page.tsx'
import { hostLooks } from '../../lib/states.ts'
import { shareOf } from '../../lib/totals.ts'
import { Badge } from '../../ui/badge.tsx'
import { Card } from '../../ui/card.tsx'
import { Progress } from '../../ui/progress.tsx'
import { Empty } from '../../ui/states.tsx'
import { Table, type Column } from '../../ui/table.tsx'

const gib = (mib: number): string => `${(mib / 1024).toFixed(mib < 10_240 ? 1 : 0)} GiB`

export function HostsPage() {
  const hosts = useApi(listHosts, {}, { every: 10_000 })
  const now = useNow(5_000)
  return (
    <Page
      title="Hosts"
      help="Places with capacity where sandboxes run. A host always dials out; it needs no open port."
    >
      <Card>
        <Loaded query={hosts}>
          {({ items }) =>
            items.length === 0 ? (
              <Empty
                icon="server"
                title="No host has joined"
                help="This machine joins by itself when the host process starts; slopbox status tells how it is."
              />
            ) : (
              <Table caption="Hosts" columns={columns(now)} rows={items} rowKey={(host) => host.id} />
            )
          }
        </Loaded>
      </Card>
    </Page>
  )
}

const columns = (now: number): readonly Column<Host>[] => [
  {
    title: 'Host',
    cell: (host) => (
      <div className="flex flex-col">
        <span className="font-medium">{host.name}</span>
        <span className="text-xs text-ink-3">{host.version}</span>
      </div>
    ),
  },
  {
    title: 'State',
    cell: (host) => (
      <Badge tone={hostLooks[host.state].tone} dot>
        {hostLooks[host.state].label}
      </Badge>
    ),
  },
  {
    title: 'Drivers',
    wide: true,
    cell: (host) => (
      <span className="text-ink-2">
        {host.drivers.map((driver) => `${driver.name} (${driver.isolations.join(', ')})`).join(', ')}
      </span>
    ),
  },
  {
    title: 'Memory',
    cell: (host) => {
      const text = `${gib(host.used.memoryMiB)} of ${gib(host.capacity.memoryMiB)}`
      return (
        <div className="flex min-w-24 flex-col gap-1.5">
          <span className="text-xs whitespace-nowrap text-ink-2 tabular">{text}</span>
          <Progress
            label={`Memory of ${host.name}`}
            share={shareOf(host.used.memoryMiB, host.capacity.memoryMiB)}
            text={text}
          />
        </div>
      )
    },
  },
  {
    title: 'Sandboxes',
    wide: true,
    right: true,
    cell: (host) => <span className="tabular">{host.used.sandboxes}</span>,
  },
  {
    title: 'Last seen',
    wide: true,
    right: true,
    cell: (host) => (
      <time dateTime={host.lastSeenAt} title={formatTime(host.lastSeenAt)} className="whitespace-nowrap text-ink-2">
        {formatAgo(host.lastSeenAt, now)}
      </time>
    ),
  },
]
