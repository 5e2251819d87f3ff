import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import {
  deleteAgent,
  listAgents,
  provisionAgent,
  restartAgent,
  startAgent,
  stopAgent,
  type Agent,
} from '../../../contract/agents.ts'
import { agentWhyNot } from '../../lib/agent-actions.ts'
import { useDo } from '../../lib/api.ts'
import { formatFor } from '../../lib/format.ts'
import { useNow } from '../../lib/now.ts'
import { showDone } from '../../lib/notify.ts'
import { paths } from '../../lib/paths.ts'
import { sentence } from '../../lib/errors.ts'
import { agentLooks, isTransitional, stepTexts } from '../../lib/states.ts'
import { Badge } from '../../ui/badge.tsx'
import { Button, buttonClass } from '../../ui/button.tsx'
import { Confirm } from '../../ui/confirm.tsx'
import { Icon } from '../../ui/icons.tsx'
import { Menu } from '../../ui/menu.tsx'
import { Notice } from '../../ui/states.tsx'
import { AgentAvatar } from '../agent-avatar.tsx'
import { agentReads } from './agent-reads.ts'
import { WipeDialog } from './wipe-dialog.tsx'

export function AgentHeader({ agent }: { agent: Agent }) {
  const look = agentLooks[agent.state]
  const now = useNow(30_000)
  const step = agent.step === null || !isTransitional(agent.state) ? null : stepTexts[agent.step].title
  return (
    <header className="flex flex-col gap-4">
      <div className="flex flex-wrap items-center justify-between gap-x-6 gap-y-4">
        <div className="flex min-w-0 items-center gap-3.5">
          <AgentAvatar agent={agent} large />
          <div className="flex min-w-0 flex-col gap-1">
            <h1 className="truncate text-xl font-semibold tracking-tight">{agent.name}</h1>
            <div className="flex flex-wrap items-center gap-x-2.5 gap-y-1 text-ink-2">
              <span role="status" aria-label="State">
                <Badge tone={look.tone} dot>
                  {look.label}
                </Badge>
              </span>
              <span className="text-ink-3">{step ?? formatFor(agent.since, now)}</span>
              <span aria-hidden="true" className="text-line-strong max-sm:hidden">
                ·
              </span>
              <span className="truncate font-mono text-xs max-sm:hidden">{agent.model.id}</span>
            </div>
          </div>
        </div>
        <AgentActions agent={agent} />
      </div>
      {agent.reason !== null && agent.state !== 'running' && (
        <Notice
          tone={look.tone === 'bad' ? 'bad' : look.tone === 'busy' ? 'info' : 'warn'}
          title={sentence(agent.reason)}
        />
      )}
    </header>
  )
}

function AgentActions({ agent }: { agent: Agent }) {
  const [asking, setAsking] = useState<'wipe' | 'destroy' | null>(null)
  const navigate = useNavigate()
  const given = { params: { id: agent.id } }
  const start = useDo(agent.sandbox === null ? provisionAgent : startAgent, {
    invalidates: agentReads,
    errors: 'It was not started',
  })
  const stop = useDo(stopAgent, { invalidates: agentReads, errors: 'It was not stopped' })
  const restart = useDo(restartAgent, { invalidates: agentReads, errors: 'It was not restarted' })
  const destroy = useDo(deleteAgent, {
    invalidates: [listAgents],
    errors: 'It was not destroyed',
    onDone: () => {
      showDone(`${agent.name} is being destroyed`)
      void navigate({ to: paths.agents() })
    },
  })
  const cannot = {
    start: agentWhyNot('start', agent),
    stop: agentWhyNot('stop', agent),
    restart: agentWhyNot('restart', agent),
    wipe: agentWhyNot('wipe', agent),
    reach: agentWhyNot('reach', agent),
  }
  const atRest = agent.state === 'stopped' || agent.state === 'none' || agent.state === 'error'
  return (
    <div className="flex flex-wrap items-center gap-2">
      {atRest ? (
        <Button
          variant="primary"
          icon="play"
          busy={start.isPending}
          onClick={() => start.mutate(given)}
          why={cannot.start}
        >
          Start
        </Button>
      ) : (
        <Button icon="stop" busy={stop.isPending} onClick={() => stop.mutate(given)} why={cannot.stop}>
          Stop
        </Button>
      )}
      <Button icon="restart" busy={restart.isPending} onClick={() => restart.mutate(given)} why={cannot.restart}>
        <span className="max-sm:sr-only">Restart</span>
      </Button>
      {cannot.reach === undefined ? (
        <a
          href={paths.agentUi(agent.id)}
          target="_blank"
          rel="noopener"
          className={buttonClass({ variant: 'primary' })}
          title="The agent’s own chat, in a new tab"
        >
          <Icon name="out" />
          Open chat
        </a>
      ) : null}
      <Menu
        label="More actions"
        trigger={<Icon name="more" className="size-5" />}
        triggerClass={buttonClass({ variant: 'ghost', size: 'icon' })}
        items={[
          { label: 'Wipe the disk…', icon: 'layers', why: cannot.wipe, onSelect: () => setAsking('wipe') },
          {
            label: 'Destroy…',
            icon: 'trash',
            danger: true,
            why: agent.state === 'destroying' ? 'It is being destroyed.' : undefined,
            onSelect: () => setAsking('destroy'),
          },
        ]}
      />
      <WipeDialog agent={agent} open={asking === 'wipe'} onClose={() => setAsking(null)} />
      <Confirm
        open={asking === 'destroy'}
        onClose={() => setAsking(null)}
        title={`Destroy ${agent.name}?`}
        help="The agent, its sandbox and its workspace are deleted for good. Its usage and audit trail stay."
        action="Destroy agent"
        typeName={agent.name}
        busy={destroy.isPending}
        onConfirm={() => destroy.mutate(given)}
      />
    </div>
  )
}
