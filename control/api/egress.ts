import {
  checkEgress,
  createRule,
  deleteRule,
  deleteSecret,
  listAudit,
  listRules as listRulesRoute,
  listSecrets as listSecretsRoute,
  putSecret,
} from '../../contract/egress.ts'
import { SlopboxError } from '../../contract/errors.ts'
import type { Input } from '../../contract/route.ts'
import { mount } from '../../lib/mount.ts'
import type { App } from '../../lib/mount.ts'
import { actorOf } from '../auth/caller.ts'
import type { Caller } from '../auth/caller.ts'
import { explain } from '../egress-check.ts'
import { canonicalPattern, patternWarning } from '../egress-hosts.ts'
import { saveSecret } from '../secrets.ts'
import { findAgent } from '../store/agents.ts'
import { auditAct, findAudit } from '../store/audit.ts'
import type { Db } from '../store/db.ts'
import { findRule, insertRule, listRules, removeRule } from '../store/rules.ts'
import { agentsUsingSecret, listSecrets, lockSecret, removeSecret } from '../store/secrets.ts'
import type { Wake } from '../wake.ts'

export interface EgressDeps {
  db: Db
  masterKey: Buffer
  wake: Pick<Wake, 'egress' | 'host' | 'changed'>
}

export function mountEgress(app: App<Caller>, deps: EgressDeps): void {
  mountRules(app, deps)
  mountSecrets(app, deps)
  mount(app, checkEgress, async ({ query, caller }) => {
    await requireAgent(deps.db, caller, query.agentId)
    return await explain(deps.db, caller.team.id, query)
  })
  mount(app, listAudit, async ({ query, caller }) => {
    if (query.agentId !== undefined) await requireAgent(deps.db, caller, query.agentId)
    const installation = caller.user.role === 'operator' && query.agentId === undefined
    return await findAudit(deps.db, { teamId: caller.team.id, installation }, query)
  })
}

function mountRules(app: App<Caller>, { db, wake }: EgressDeps): void {
  mount(app, createRule, async ({ body, caller }) => {
    await checkScope(db, caller, body)
    const host = canonicalPattern('body.host', body.host)
    const rule = await db.transaction().execute(async (tx) => {
      const made = await insertRule(tx, {
        scope: body.scope,
        teamId: body.scope === 'global' ? null : caller.team.id,
        agentId: body.agentId,
        sandboxId: null,
        host,
        port: body.port,
        note: body.note,
        createdBy: caller.user.id,
      })
      if (made === undefined)
        throw new SlopboxError('conflict', `a ${body.scope} rule for ${host} ${portText(body.port)} is there already`, {
          hint: null,
        })
      const detail = { id: made.id, scope: body.scope, host, port: body.port }
      await auditAct(tx, actorOf(caller), createRule.id, detail, { agentId: body.agentId })
      return made
    })
    wake.egress()
    wake.changed(caller.team.id, { kind: 'egress.updated', agentId: rule.agentId })
    return { ...rule, warning: patternWarning(host) }
  })
  mount(app, listRulesRoute, async ({ query, caller }) => {
    if (query.agentId !== undefined) await requireAgent(db, caller, query.agentId)
    return await listRules(db, caller.team.id, query)
  })
  mount(app, deleteRule, async ({ params, caller }) => {
    const rule = await findRule(db, caller.team.id, params.id)
    if (rule === undefined) throw new SlopboxError('not_found', `no rule ${params.id}`)
    if (rule.scope === 'global' && caller.user.role !== 'operator')
      throw new SlopboxError('forbidden', 'global rules are for operators')
    await db.transaction().execute(async (tx) => {
      if (!(await removeRule(tx, rule.id))) throw new SlopboxError('not_found', `no rule ${params.id}`)
      const detail = { id: rule.id, scope: rule.scope, host: rule.host, port: rule.port }
      await auditAct(tx, actorOf(caller), deleteRule.id, detail, { agentId: rule.agentId, sandboxId: rule.sandboxId })
    })
    wake.egress()
    wake.changed(caller.team.id, { kind: 'egress.updated', agentId: rule.agentId })
    return { ok: true as const }
  })
}

function mountSecrets(app: App<Caller>, { db, masterKey, wake }: EgressDeps): void {
  const announce = (teamId: string): void => {
    wake.egress()
    // A new secret brings a new placeholder, which is in the agents' files.
    wake.host()
    wake.changed(teamId, { kind: 'secret.updated' })
  }
  mount(app, putSecret, async ({ params, body, caller }) => {
    const secret = await db.transaction().execute(async (tx) => {
      const input = { ...body, teamId: caller.team.id, name: params.name, createdBy: caller.user.id }
      const saved = await saveSecret(tx, masterKey, input)
      await auditAct(tx, actorOf(caller), putSecret.id, {
        id: saved.secret.id,
        name: params.name,
        hosts: saved.secret.hosts.join(' ').slice(0, 2000),
        replaced: saved.replaced,
      })
      return saved.secret
    })
    announce(caller.team.id)
    return secret
  })
  mount(app, listSecretsRoute, ({ query, caller }) => listSecrets(db, caller.team.id, query))
  mount(app, deleteSecret, async ({ params, caller }) => {
    await db.transaction().execute(async (tx) => {
      const secret = await lockSecret(tx, caller.team.id, params.name)
      if (secret === undefined) throw new SlopboxError('not_found', `no secret ${params.name}`)
      const agents = await agentsUsingSecret(tx, caller.team.id, params.name)
      if (agents.length > 0)
        throw new SlopboxError('conflict', `secret ${params.name} is the model key of ${agents.join(', ')}`, {
          hint: 'Give these agents another model key first.',
        })
      await removeSecret(tx, secret.id)
      await auditAct(tx, actorOf(caller), deleteSecret.id, { id: secret.id, name: params.name })
    })
    announce(caller.team.id)
    return { ok: true as const }
  })
}

async function checkScope(db: Db, caller: Caller, body: Input<typeof createRule>['body']): Promise<void> {
  if (body.scope === 'global' && caller.user.role !== 'operator')
    throw new SlopboxError('forbidden', 'global rules are for operators')
  if (body.scope === 'agent' && body.agentId === null)
    throw new SlopboxError('invalid_request', 'body.agentId: is needed for scope agent')
  if (body.scope !== 'agent' && body.agentId !== null)
    throw new SlopboxError('invalid_request', `body.agentId: does not belong to scope ${body.scope}`)
  if (body.agentId !== null) await requireAgent(db, caller, body.agentId)
}

async function requireAgent(db: Db, caller: Caller, id: string): Promise<void> {
  const found = await findAgent(db, caller.team.id, id)
  if (found === undefined) throw new SlopboxError('not_found', `no agent ${id}`)
}

function portText(port: number | null): string {
  return port === null ? 'on ports 80 and 443' : `on port ${port}`
}
