/** Every public operation, in the order of the documentation. */
import * as agents from './agents.ts'
import * as commands from './commands.ts'
import * as egress from './egress.ts'
import * as events from './events.ts'
import * as files from './files.ts'
import * as people from './people.ts'
import type { Route } from './route.ts'
import * as sandboxes from './sandboxes.ts'
import * as sshKeys from './ssh-keys.ts'
import * as templates from './templates.ts'
import * as usage from './usage.ts'

export interface ApiSection {
  title: string
  routes: readonly Route[]
}

export const apiSections: readonly ApiSection[] = [
  {
    title: 'Account',
    routes: [
      people.getMe,
      people.createKey,
      people.listKeys,
      people.deleteKey,
      sshKeys.createSshKey,
      sshKeys.listSshKeys,
      sshKeys.deleteSshKey,
      people.getAuthOptions,
      people.redeemSignInLink,
    ],
  },
  {
    title: 'Agents',
    routes: [
      agents.createAgent,
      agents.listAgents,
      agents.getAgent,
      agents.updateAgent,
      agents.deleteAgent,
      agents.provisionAgent,
      agents.destroyAgentSandbox,
      agents.startAgent,
      agents.stopAgent,
      agents.restartAgent,
      agents.wipeAgent,
      agents.chatWithAgent,
      agents.resetAgentSession,
      agents.listAgentFiles,
      agents.putAgentFile,
      agents.agentLogs,
      agents.agentEvents,
      agents.createProxyToken,
      agents.deleteProxyToken,
    ],
  },
  {
    title: 'Sandboxes',
    routes: [
      sandboxes.createSandbox,
      sandboxes.listSandboxes,
      sandboxes.getSandbox,
      sandboxes.startSandbox,
      sandboxes.stopSandbox,
      sandboxes.pauseSandbox,
      sandboxes.resumeSandbox,
      sandboxes.extendSandbox,
      sandboxes.killSandbox,
      sandboxes.execInSandbox,
      sandboxes.sandboxLogs,
    ],
  },
  {
    title: 'Commands',
    routes: [
      commands.startCommand,
      commands.listCommands,
      commands.getCommand,
      commands.commandOutput,
      commands.commandInput,
      commands.signalCommand,
      commands.killCommand,
    ],
  },
  {
    title: 'Files',
    routes: [
      files.readFile,
      files.writeFile,
      files.statFile,
      files.listFiles,
      files.makeDirectory,
      files.moveFile,
      files.changeMode,
      files.changeOwner,
      files.removeFile,
    ],
  },
  { title: 'Egress', routes: [egress.createRule, egress.listRules, egress.deleteRule, egress.checkEgress] },
  { title: 'Secrets', routes: [egress.putSecret, egress.listSecrets, egress.deleteSecret] },
  { title: 'Audit', routes: [egress.listAudit] },
  {
    title: 'Usage and plans',
    routes: [
      usage.getUsage,
      usage.getAgentUsage,
      usage.putBudget,
      usage.listPlans,
      usage.createPlan,
      usage.updatePlan,
      usage.assignPlan,
    ],
  },
  {
    title: 'Templates and hosts',
    routes: [templates.listTemplates, templates.getTemplate, templates.buildTemplate, templates.listHosts],
  },
  { title: 'Live changes', routes: [events.streamChanges] },
  {
    title: 'Administration',
    routes: [people.adminCreateUser, people.adminListUsers, people.getSettings, people.updateSettings],
  },
]

export const apiRoutes: readonly Route[] = apiSections.flatMap((section) => section.routes)
