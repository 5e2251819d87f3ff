import type { Duplex } from 'node:stream'
import { chatWithAgent, resetAgentSession } from '../../contract/agents.ts'
import type { ChatEvent } from '../../contract/agents.ts'
import { SlopboxError } from '../../contract/errors.ts'
import { newId } from '../../contract/ids.ts'
import { nextStep, whyNot } from '../../core/sandbox-state.ts'
import { mount, mountStream } from '../../lib/mount.ts'
import type { App } from '../../lib/mount.ts'
import { requestUpgrade } from '../../lib/upgrade.ts'
import { actorOf } from '../auth/caller.ts'
import type { Caller } from '../auth/caller.ts'
import { agentOrigins } from '../desired.ts'
import { modelTrouble } from '../model-trouble.ts'
import { modelAlias } from '../runtimes/openclaw-config.ts'
import { chat, resetSession } from '../runtimes/openclaw-chat.ts'
import { connectOpenclaw } from '../runtimes/openclaw-rpc.ts'
import type { Dial } from '../runtimes/openclaw-rpc.ts'
import { findAgent } from '../store/agents.ts'
import type { AgentRow } from '../store/agents.ts'
import { auditAct, findAudit } from '../store/audit.ts'
import type { Db } from '../store/db.ts'
import { unknownAgent } from './agents.ts'

/** A runtime that was refused does not ask again for some minutes, so that its last call may be older than this chat. */
const recentMs = 15 * 60_000

export interface ChatDeps {
  db: Db
  domain: string
  /** Connects to a port of a sandbox. Throws `upstream_failed` when nobody listens there. */
  dialSandbox: (place: { hostId: string; sandboxId: string }, port: number, signal: AbortSignal) => Promise<Duplex>
}

/** Through the gateway's internal socket, as the tunnel to the host ends there. */
export function dialThroughGateway(gateway: { socketPath: string; token: string }): ChatDeps['dialSandbox'] {
  return ({ hostId, sandboxId }, port, signal) =>
    requestUpgrade({
      socketPath: gateway.socketPath,
      path: '/internal/dial',
      protocol: 'slopbox-dial',
      headers: {
        authorization: `Bearer ${gateway.token}`,
        'x-slopbox-host': hostId,
        'x-slopbox-sandbox': sandboxId,
        'x-slopbox-port': String(port),
      },
      signal,
    })
}

/** What the capped rights of the agent's own UI leave to us: talking to it over the API, and beginning anew. */
export function mountChat(app: App<Caller>, deps: ChatDeps): void {
  mountStream(app, chatWithAgent, async ({ caller, params, body, signal }) => {
    const { dial, agent } = await reach(deps, caller, params.id)
    const origin = agentOrigins(deps.domain, params.id)[0] ?? ''
    const session = await connectOpenclaw(dial, { user: caller.user.id }, origin, signal)
    const said = chat(session, { sessionKey: body.session, message: body.message, runId: newId('request') })
    const answer = explained(deps.db, agent, said)
    try {
      // The first event shows that the message arrived: failures before it are answered with their own status.
      const first = await answer.next()
      return withFirst(first, answer, session)
    } catch (error) {
      session[Symbol.dispose]()
      throw error
    }
  })
  mount(app, resetAgentSession, async ({ caller, params, body, signal }) => {
    const { dial } = await reach(deps, caller, params.id)
    using session = await connectOpenclaw(dial, 'control', agentOrigins(deps.domain, params.id)[0] ?? '', signal)
    await resetSession(session, body.session)
    await auditAct(deps.db, actorOf(caller), resetAgentSession.id, { session: body.session }, { agentId: params.id })
    return { ok: true as const }
  })
}

async function* withFirst(
  first: IteratorResult<ChatEvent>,
  rest: AsyncGenerator<ChatEvent>,
  session: Disposable,
): AsyncGenerator<ChatEvent> {
  try {
    if (first.done !== true) yield first.value
    yield* rest
  } finally {
    session[Symbol.dispose]()
  }
}

/** The runtime says that an answer failed; what the gate saw of the model call says why. */
async function* explained(
  db: Db,
  agent: AgentRow,
  answer: AsyncGenerator<ChatEvent>,
): AsyncGenerator<ChatEvent, void, undefined> {
  for await (const event of answer) {
    if (event.type !== 'error') yield event
    else {
      const why = await whyModelFails(db, agent)
      yield why === undefined ? event : { ...event, message: `${event.message}\n${why}` }
    }
  }
}

async function whyModelFails(db: Db, agent: AgentRow): Promise<string | undefined> {
  const about = { agentId: agent.id, host: modelAlias, limit: 1 }
  const { items } = await findAudit(db, { teamId: agent.team_id, installation: false }, about)
  const last = items[0]
  if (last === undefined || Date.now() - Date.parse(last.at) > recentMs) return undefined
  return modelTrouble(last, agent.model)
}

/** A way to the agent's port; refuses agents of others and those that do not run. */
async function reach(deps: ChatDeps, caller: Caller, agentId: string): Promise<{ dial: Dial; agent: AgentRow }> {
  const found = await findAgent(deps.db, caller.team.id, agentId)
  if (found === undefined) throw unknownAgent(agentId)
  const { sandbox } = found
  if (sandbox === null)
    throw new SlopboxError('wrong_state', `agent ${agentId} has no sandbox`, {
      hint: 'Give it one and start it first.',
    })
  const reason = whyNot('reach', sandbox.state)
  if (reason !== undefined) throw new SlopboxError('wrong_state', reason, { hint: nextStep('reach', sandbox.state) })
  const hostId = sandbox.host_id
  if (!sandbox.ready || hostId === null)
    throw new SlopboxError('wrong_state', `agent ${agentId} is still starting`, { hint: 'Wait until it runs.' })
  const dial: Dial = (port, signal) => deps.dialSandbox({ hostId, sandboxId: sandbox.id }, port, signal)
  return { dial, agent: found.agent }
}
