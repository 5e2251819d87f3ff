import type { ReactNode } from 'react'
import type { Agent } from '../../../contract/agents.ts'
import { listTemplates } from '../../../contract/templates.ts'
import { useApi } from '../../lib/api.ts'
import { formatDuration } from '../../lib/format.ts'
import { stepTexts } from '../../lib/states.ts'
import { stepsOf, type StepProgress } from '../../lib/steps.ts'
import { Card } from '../../ui/card.tsx'
import { cn } from '../../ui/cn.ts'
import { Icon, Spinner } from '../../ui/icons.tsx'
import { BuildView } from '../build-view.tsx'

/** What happens between creating an agent and its first answer, in the words of someone who sees it the first time. */
export function Provisioning({ agent }: { agent: Agent }) {
  const steps = stepsOf(agent.step, agent.sandbox?.timings ?? {})
  const now = steps.find((step) => step.state === 'now')
  return (
    <Card className="mx-auto w-full max-w-xl">
      <section aria-label="Progress" className="flex flex-col gap-5 p-5 sm:p-7">
        <div className="flex flex-col gap-1">
          <h2 className="text-base font-semibold tracking-tight">
            {agent.state === 'starting' ? `${agent.name} is starting` : `Setting up ${agent.name}`}
          </h2>
          <p className="text-ink-2">You can leave this page; it goes on without you.</p>
        </div>
        <p role="status" className="sr-only">
          {now === undefined ? '' : stepTexts[now.step].title}
        </p>
        <ol className="flex flex-col">
          {steps.map((step, index) => (
            <StepRow key={step.step} progress={step} last={index === steps.length - 1}>
              {step.step === 'template' && step.state === 'now' && agent.sandbox !== null && (
                <TemplateProgress name={agent.sandbox.template} />
              )}
            </StepRow>
          ))}
        </ol>
      </section>
    </Card>
  )
}

function StepRow(props: { progress: StepProgress; last: boolean; children: ReactNode }) {
  const { step, state, ms } = props.progress
  return (
    <li className="flex gap-3.5" aria-current={state === 'now' ? 'step' : undefined}>
      <div className="flex flex-col items-center">
        <span
          className={cn(
            'grid size-6 place-items-center rounded-full border',
            state === 'done' && 'border-transparent bg-ok-soft text-ok',
            state === 'now' && 'border-transparent bg-accent-soft text-accent',
            state === 'next' && 'border-line-strong text-ink-3',
          )}
        >
          {state === 'done' && <Icon name="check" className="size-3.5" />}
          {state === 'now' && <Spinner className="size-3.5" />}
        </span>
        {!props.last && <span className={cn('w-px flex-1', state === 'done' ? 'bg-ok-dot/40' : 'bg-line')} />}
      </div>
      <div className={cn('flex min-w-0 flex-1 flex-col gap-1', !props.last && 'pb-5')}>
        <div className="flex items-baseline justify-between gap-4">
          <span className={cn('font-medium', state === 'next' && 'text-ink-3')}>
            {stepTexts[step].title}
            <span className="sr-only">
              {state === 'done' ? ' (done)' : state === 'now' ? ' (under way)' : ' (to come)'}
            </span>
          </span>
          {ms !== null && <span className="text-xs text-ink-3 tabular">{formatDuration(ms)}</span>}
        </div>
        {state === 'now' && <p className="text-ink-2">{stepTexts[step].detail}</p>}
        {props.children}
      </div>
    </li>
  )
}

/** The build of the template, or of the one below it that has to be there first. */
function TemplateProgress({ name }: { name: string }) {
  const templates = useApi(listTemplates, {}, { every: 1_500 })
  const building = (templates.data?.items ?? []).filter((one) => one.state === 'building' && one.progress !== null)
  const shown = building.find((one) => one.name === name) ?? building[0]
  return shown?.progress == null ? null : <BuildView progress={shown.progress} />
}
