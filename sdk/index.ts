import { account, admin, templatesOf, usageOf } from './account.ts'
import { agents } from './agents.ts'
import type { ClientOptions } from './call.ts'
import { sandboxes } from './sandboxes.ts'
import { egress, secrets } from './security.ts'

export { SlopboxError, type ErrorCode } from '../contract/errors.ts'
export type { Agent, AgentState, ChatEvent } from '../contract/agents.ts'
export type { Command, CommandEvent } from '../contract/commands.ts'
export type { AuditRecord, EgressRule, Secret } from '../contract/egress.ts'
export type { FileInfo } from '../contract/files.ts'
export type { ApiKey, Me, Settings, User } from '../contract/people.ts'
export type { ExecEvent, LogLine, Sandbox, SandboxState } from '../contract/sandboxes.ts'
export type { SshKey } from '../contract/ssh-keys.ts'
export type { Template } from '../contract/templates.ts'
export type { Plan, Usage } from '../contract/usage.ts'
export { call, type ClientOptions } from './call.ts'
export { allPages, type Page } from './pages.ts'
export type { Terminal } from './pty.ts'
export { outputBytes, type ExecResult } from './sandboxes.ts'
export { stream } from './stream.ts'

/** The client: one property per noun. Every method throws `SlopboxError`, the same the server threw. */
export class Slopbox {
  readonly agents: ReturnType<typeof agents>
  readonly sandboxes: ReturnType<typeof sandboxes>
  readonly egress: ReturnType<typeof egress>
  readonly secrets: ReturnType<typeof secrets>
  readonly usage: ReturnType<typeof usageOf>
  readonly templates: ReturnType<typeof templatesOf>
  readonly account: ReturnType<typeof account>
  readonly admin: ReturnType<typeof admin>

  constructor(options: ClientOptions = {}) {
    this.agents = agents(options)
    this.sandboxes = sandboxes(options)
    this.egress = egress(options)
    this.secrets = secrets(options)
    this.usage = usageOf(options)
    this.templates = templatesOf(options)
    this.account = account(options)
    this.admin = admin(options)
  }
}
