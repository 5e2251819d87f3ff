import { useState } from 'react'
import {
  createProxyToken,
  deleteProxyToken,
  getAgent,
  listAgents,
  type Agent,
  type ProxyToken,
} from '../../../contract/agents.ts'
import { useDo } from '../../lib/api.ts'
import { formatDate } from '../../lib/format.ts'
import { showDone } from '../../lib/notify.ts'
import { Button } from '../../ui/button.tsx'
import { Card, Section } from '../../ui/card.tsx'
import { Confirm } from '../../ui/confirm.tsx'
import { CopyButton } from '../../ui/copy-button.tsx'
import { Dialog, DialogActions } from '../../ui/dialog.tsx'

type Asking = 'replace' | 'revoke' | null

/** The token by which machines that are not this agent's sandbox use its way out. */
export function ProxyTokenSection({ agent }: { agent: Agent }) {
  const [asking, setAsking] = useState<Asking>(null)
  const [made, setMade] = useState<ProxyToken | null>(null)
  const given = { params: { id: agent.id } }
  const create = useDo(createProxyToken, {
    invalidates: [getAgent, listAgents],
    errors: 'No token was made',
    onDone: (token) => {
      setAsking(null)
      setMade(token)
    },
  })
  const revoke = useDo(deleteProxyToken, {
    invalidates: [getAgent, listAgents],
    errors: 'The token was not revoked',
    onDone: () => {
      setAsking(null)
      showDone('The token is revoked')
    },
  })
  return (
    <Section
      title="Machines elsewhere"
      help="With a token, another machine’s traffic goes through the gate as this agent: same hosts, secrets, budget and records."
      plain
    >
      <Card className="flex flex-wrap items-center justify-between gap-3 p-4 sm:px-5">
        <p className="min-w-0 text-ink-2">
          {agent.proxyTokenAt === null
            ? 'No token yet'
            : `Token made ${formatDate(agent.proxyTokenAt)}; it holds while the agent is started`}
        </p>
        {agent.proxyTokenAt === null ? (
          <Button icon="key" busy={create.isPending} onClick={() => create.mutate(given)}>
            Create token
          </Button>
        ) : (
          <div className="flex flex-wrap gap-2">
            <Button onClick={() => setAsking('replace')}>Replace token</Button>
            <Button variant="dangerGhost" onClick={() => setAsking('revoke')}>
              Revoke token
            </Button>
          </div>
        )}
      </Card>
      <Confirm
        open={asking !== null}
        onClose={() => setAsking(null)}
        title={asking === 'replace' ? 'Replace the token?' : 'Revoke the token?'}
        help="Machines that use it are refused at once, and their open connections are closed."
        action={asking === 'replace' ? 'Replace token' : 'Revoke token'}
        busy={create.isPending || revoke.isPending}
        onConfirm={() => (asking === 'replace' ? create : revoke).mutate(given)}
      />
      <MadeDialog made={made} onClose={() => setMade(null)} />
    </Section>
  )
}

function MadeDialog({ made, onClose }: { made: ProxyToken | null; onClose: () => void }) {
  const off = made?.proxyUrl === null
  return (
    <Dialog
      open={made !== null}
      onClose={onClose}
      title="The token is ready"
      help={
        off
          ? 'Copy it now: it is shown this once. The proxy is off here; an operator turns it on with slopbox up --egress-listen.'
          : 'Copy it now: it is shown this once. Set this on the other machine.'
      }
    >
      {made !== null && (
        <div className="flex items-start gap-2 rounded-lg border border-line bg-sunken p-2 pl-3">
          <code
            aria-label="The token"
            className="min-w-0 flex-1 font-mono text-xs break-all whitespace-pre-wrap select-all"
          >
            {textOf(made)}
          </code>
          <CopyButton text={textOf(made)} />
        </div>
      )}
      <DialogActions>
        <Button variant="primary" onClick={onClose}>
          Done
        </Button>
      </DialogActions>
    </Dialog>
  )
}

/** Lines for a shell, in both spellings: programs differ in which they read. */
function textOf({ username, token, proxyUrl }: ProxyToken): string {
  if (proxyUrl === null) return `${username}:${token}`
  const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy']
  return names.map((name) => `export ${name}=${proxyUrl}`).join('\n')
}
