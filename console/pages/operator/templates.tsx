import { buildTemplate, listTemplates, type Template } from '../../../contract/templates.ts'
import { useApi, useDo } from '../../lib/api.ts'
import { sentence } from '../../lib/errors.ts'
import { formatAgo, formatBytes } from '../../lib/format.ts'
import { Loaded } from '../../lib/loaded.tsx'
import { showDone } from '../../lib/notify.ts'
import { useNow } from '../../lib/now.ts'
import { Page } from '../../lib/page.tsx'
import { templateLooks } from '../../lib/states.ts'
import { Badge } from '../../ui/badge.tsx'
import { Button } from '../../ui/button.tsx'
import { Card } from '../../ui/card.tsx'
import { Empty, Notice } from '../../ui/states.tsx'
import { BuildView } from '../build-view.tsx'

export function TemplatesPage() {
  const templates = useApi(
    listTemplates,
    {},
    { every: (data) => (data?.items.some((one) => one.state === 'building') === true ? 1_500 : 15_000) },
  )
  return (
    <Page
      title="Templates"
      help="What sandboxes are made from. Built inside a sandbox, behind the gate, once per host."
    >
      <Loaded query={templates}>
        {({ items }) =>
          items.length === 0 ? (
            <Card>
              <Empty icon="layers" title="No templates" help="The built-in ones appear when a host has joined." />
            </Card>
          ) : (
            <ul aria-label="Templates" className="flex flex-col gap-4">
              {items.map((template) => (
                <li key={template.name}>
                  <TemplateCard template={template} />
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </Page>
  )
}

function TemplateCard({ template }: { template: Template }) {
  const now = useNow(30_000)
  const build = useDo(buildTemplate, {
    invalidates: [listTemplates],
    errors: 'The build did not begin',
    onDone: () => showDone(`${template.name} is being built`),
  })
  const look = templateLooks[template.state]
  const facts = [
    template.sizeBytes === null ? null : formatBytes(template.sizeBytes),
    template.builtAt === null ? null : `built ${formatAgo(template.builtAt, now)}`,
  ].filter((fact) => fact !== null)
  return (
    <Card className="flex flex-col gap-3 p-4 sm:p-5">
      <div className="flex flex-wrap items-start justify-between gap-3">
        <div className="flex min-w-0 flex-col gap-0.5">
          <h2 className="flex flex-wrap items-center gap-2.5 text-base font-semibold tracking-tight">
            {template.name}
            <Badge tone={look.tone} dot>
              {look.label}
            </Badge>
          </h2>
          <p className="text-ink-2">{template.description}</p>
          {facts.length > 0 && <p className="text-xs text-ink-3 tabular">{facts.join(' · ')}</p>}
        </div>
        <Button
          busy={build.isPending}
          aria-label={`Build ${template.name}`}
          onClick={() => build.mutate({ params: { name: template.name } })}
          why={template.state === 'building' ? 'It is being built' : undefined}
        >
          {template.state === 'ready' ? 'Build again' : 'Build'}
        </Button>
      </div>
      {template.state === 'failed' && template.reason !== null && (
        <Notice tone="bad" title={sentence(template.reason)} />
      )}
      {template.progress !== null && template.state !== 'ready' && <BuildView progress={template.progress} />}
    </Card>
  )
}
