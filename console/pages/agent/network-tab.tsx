import { useState } from 'react'
import type { Agent } from '../../../contract/agents.ts'
import { createRule, deleteRule, listRules, type EgressRule } from '../../../contract/egress.ts'
import { useApi, useDo } from '../../lib/api.ts'
import { useForm } from '../../lib/form.ts'
import { Loaded } from '../../lib/loaded.tsx'
import { showDone } from '../../lib/notify.ts'
import { Badge } from '../../ui/badge.tsx'
import { Button } from '../../ui/button.tsx'
import { Card, Section } from '../../ui/card.tsx'
import { Confirm } from '../../ui/confirm.tsx'
import { TextField } from '../../ui/field.tsx'
import { Empty, FormError } from '../../ui/states.tsx'
import { Table, type Column } from '../../ui/table.tsx'
import { Decisions } from '../decisions.tsx'
import { EgressCheck } from './egress-check.tsx'
import { ProxyTokenSection } from './proxy-token.tsx'

export function NetworkTab({ agent }: { agent: Agent }) {
  return (
    <div className="flex flex-col gap-9">
      <Allowlist agent={agent} />
      <Section title="Would this be allowed?" help="Asks the gate’s own rules, without sending anything" plain>
        <Card>
          <EgressCheck agentId={agent.id} />
        </Card>
      </Section>
      <ProxyTokenSection agent={agent} />
      <Section title="Recent decisions" help="Everything the agent tried, allowed or not">
        <Decisions agentId={agent.id} />
      </Section>
    </div>
  )
}

function Allowlist({ agent }: { agent: Agent }) {
  const rules = useApi(listRules, { query: { agentId: agent.id, limit: 200 } })
  const [removing, setRemoving] = useState<EgressRule | null>(null)
  const remove = useDo(deleteRule, {
    invalidates: [listRules],
    errors: 'The host is still allowed',
    onDone: () => {
      showDone(`${removing?.host ?? 'The host'} is no longer allowed`)
      setRemoving(null)
    },
  })
  return (
    <Section
      title="Allowed hosts"
      help="Everything else is refused. The model’s endpoint is always reachable and needs no entry."
    >
      <AddRule agentId={agent.id} />
      <Loaded query={rules}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty
              icon="globe"
              title="Nothing but its model"
              help="Allow a host above, for example api.github.com, or *.wikipedia.org for every subdomain."
            />
          ) : (
            <Table caption="Allowed hosts" columns={ruleColumns(setRemoving)} rows={items} rowKey={(rule) => rule.id} />
          )
        }
      </Loaded>
      <Confirm
        open={removing !== null}
        onClose={() => setRemoving(null)}
        title={`Stop allowing ${removing?.host ?? ''}?`}
        help="Open connections to it are closed at once."
        action="Remove host"
        busy={remove.isPending}
        onConfirm={() => removing !== null && remove.mutate({ params: { id: removing.id } })}
      />
    </Section>
  )
}

const scopeNames: Record<EgressRule['scope'], string> = {
  global: 'Everyone',
  team: 'The team',
  agent: 'This agent',
  sandbox: 'This sandbox',
}

const ruleColumns = (onRemove: (rule: EgressRule) => void): readonly Column<EgressRule>[] => [
  {
    title: 'Host',
    cell: (rule) => (
      <span className="font-mono text-xs wrap-anywhere">
        {rule.host}
        {rule.port !== null && `:${rule.port}`}
        <span className="block font-sans text-ink-3 md:hidden">{scopeNames[rule.scope]}</span>
      </span>
    ),
  },
  { title: 'Note', wide: true, cell: (rule) => <span className="text-ink-2">{rule.note}</span> },
  {
    title: 'For',
    wide: true,
    cell: (rule) => <Badge>{scopeNames[rule.scope]}</Badge>,
  },
  {
    title: 'Remove',
    hideTitle: true,
    right: true,
    cell: (rule) => (
      <Button
        size="sm"
        variant="ghost"
        aria-label={`Remove ${rule.host}`}
        onClick={() => onRemove(rule)}
        why={rule.scope === 'global' ? 'Set by the operator for everyone' : undefined}
      >
        Remove
      </Button>
    ),
  },
]

function AddRule({ agentId }: { agentId: string }) {
  const create = useDo(createRule, { invalidates: [listRules], errors: 'form' })
  const form = useForm({
    initial: { host: '', note: '' },
    schema: createRule.body,
    toBody: ({ host, note }) => ({ ...hostAndPort(host.trim()), note: note.trim(), scope: 'agent' as const, agentId }),
    fields: ['host', 'note'],
    send: async (body) => {
      const rule = await create.mutateAsync({ body })
      form.reset({ host: '', note: '' })
      showDone(`${rule.host} is allowed`, rule.warning)
    },
  })
  return (
    <form
      noValidate
      aria-label="Allow a host"
      className="flex flex-col gap-3 border-b border-line p-4 sm:p-5"
      onSubmit={(event) => {
        event.preventDefault()
        void form.submit()
      }}
    >
      <div className="grid items-start gap-3 sm:grid-cols-[1fr_1fr_auto]">
        <TextField
          label="Host"
          hideLabel
          mono
          placeholder="api.example.com"
          autoCapitalize="off"
          spellCheck={false}
          value={form.values.host}
          error={form.error('host')}
          onChange={(event) => form.set('host', event.target.value)}
        />
        <TextField
          label="Note"
          hideLabel
          placeholder="What for (optional)"
          value={form.values.note}
          error={form.error('note')}
          onChange={(event) => form.set('note', event.target.value)}
        />
        <Button type="submit" variant="primary" icon="plus" busy={form.busy}>
          Allow host
        </Button>
      </div>
      <FormError told={form.problem} />
    </form>
  )
}

/** `host:8443` names a port; an address with more colons is IPv6. */
function hostAndPort(text: string): { host: string; port: number | null } {
  const match = /^([^:]+):(\d{1,5})$/.exec(text)
  return match?.[1] === undefined ? { host: text, port: null } : { host: match[1], port: Number(match[2]) }
}
