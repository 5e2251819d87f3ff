import { z } from 'zod'
import { listAudit, type AuditRecord } from '../../contract/egress.ts'
import { usePages } from '../lib/api.ts'
import { denyTexts } from '../lib/denials.ts'
import { formatAgo, formatBytes, formatTime } from '../lib/format.ts'
import { Link } from '../lib/link.tsx'
import { Loaded } from '../lib/loaded.tsx'
import { paths } from '../lib/paths.ts'
import { useNow } from '../lib/now.ts'
import { useFilters } from '../lib/search.ts'
import { Badge } from '../ui/badge.tsx'
import { Button } from '../ui/button.tsx'
import { Segments } from '../ui/choice.tsx'
import { TextField } from '../ui/field.tsx'
import { Empty } from '../ui/states.tsx'
import { Table, type Column } from '../ui/table.tsx'

const Filters = z.object({
  decision: z.enum(['allow', 'deny']).optional().catch(undefined),
  host: z.string().max(300).optional().catch(undefined),
})

/** What was tried, newest first, with filters in the address. For one agent, or for all the caller may see. */
export function Decisions({ agentId }: { agentId?: string }) {
  const [filters, setFilters] = useFilters(Filters)
  const query = {
    limit: 50,
    ...(agentId === undefined ? {} : { agentId }),
    ...(filters.decision === undefined ? {} : { decision: filters.decision }),
    ...(filters.host === undefined ? {} : { host: filters.host }),
  }
  const records = usePages(listAudit, { query }, { every: 5_000 })
  const now = useNow(10_000)
  return (
    <>
      <div className="flex flex-wrap items-center gap-3 border-b border-line px-4 py-3 sm:px-5">
        <Segments
          label="Decision"
          value={filters.decision ?? 'all'}
          options={[
            { value: 'all', label: 'All' },
            { value: 'allow', label: 'Allowed' },
            { value: 'deny', label: 'Denied' },
          ]}
          onChange={(chosen) => setFilters({ decision: chosen === 'all' ? undefined : chosen })}
        />
        <div className="min-w-40 flex-1 sm:max-w-64">
          <TextField
            label="Host"
            hideLabel
            type="search"
            placeholder="Filter by host"
            value={filters.host ?? ''}
            onChange={(event) => setFilters({ host: event.target.value })}
          />
        </div>
      </div>
      <Loaded query={records}>
        {(items) =>
          items.length === 0 ? (
            <Empty
              icon="shield"
              title={filters.decision === undefined && filters.host === undefined ? 'Nothing yet' : 'Nothing matches'}
              help="Every request that leaves the sandbox appears here within a moment, with the rule or the reason."
            />
          ) : (
            <>
              <Table
                caption="Decisions, newest first"
                columns={columns(now, agentId === undefined)}
                rows={items}
                rowKey={(row) => row.id}
              />
              {records.hasNextPage && (
                <div className="flex justify-center border-t border-line p-3">
                  <Button size="sm" busy={records.isFetchingNextPage} onClick={() => void records.fetchNextPage()}>
                    Show older
                  </Button>
                </div>
              )}
            </>
          )
        }
      </Loaded>
    </>
  )
}

const whoColumn: Column<AuditRecord> = {
  title: 'Who',
  wide: true,
  cell: (row) =>
    row.agentId === null ? (
      <code className="font-mono text-xs text-ink-2">{row.userId ?? row.actor ?? row.source}</code>
    ) : (
      <Link to={paths.agent(row.agentId, 'network')} className="font-mono text-xs text-accent hover:underline">
        {row.agentId}
      </Link>
    ),
}

const columns = (now: number, everyone: boolean): readonly Column<AuditRecord>[] => [
  {
    title: 'Decision',
    cell: (row) => (
      <Badge tone={row.decision === 'allow' ? 'ok' : 'bad'}>{row.decision === 'allow' ? 'Allowed' : 'Denied'}</Badge>
    ),
  },
  {
    title: 'Target',
    cell: (row) => (
      <div className="flex min-w-0 flex-col">
        <span className="font-mono text-xs wrap-anywhere">{targetOf(row)}</span>
        {row.reason !== null && <span className="text-xs text-ink-2">{denyTexts[row.reason]}</span>}
      </div>
    ),
  },
  ...(everyone ? [whoColumn] : []),
  { title: 'Kind', wide: true, cell: (row) => <span className="text-ink-2">{row.kind}</span> },
  {
    title: 'Traffic',
    wide: true,
    right: true,
    cell: (row) => (
      <span className="whitespace-nowrap text-ink-2 tabular">
        {row.bytesIn + row.bytesOut === 0 ? '–' : formatBytes(row.bytesIn + row.bytesOut)}
      </span>
    ),
  },
  {
    title: 'When',
    right: true,
    cell: (row) => (
      <time dateTime={row.at} title={formatTime(row.at)} className="whitespace-nowrap text-ink-2">
        {formatAgo(row.at, now)}
      </time>
    ),
  },
]

function targetOf(row: AuditRecord): string {
  const method = row.method === null ? '' : `${row.method} `
  const port = row.port === null || row.port === 443 || row.port === 80 || row.kind === 'dns' ? '' : `:${row.port}`
  const target = `${method}${row.host ?? ''}${port}${row.path ?? ''}`
  return target === '' ? row.kind : target
}
