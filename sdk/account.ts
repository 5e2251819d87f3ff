import * as people from '../contract/people.ts'
import type { Call, Output } from '../contract/route.ts'
import * as ssh from '../contract/ssh-keys.ts'
import * as templates from '../contract/templates.ts'
import * as usage from '../contract/usage.ts'
import { call, type ClientOptions } from './call.ts'
import type { Page } from './pages.ts'

type Body<R> = Call<R> extends { body: infer B } ? B : never
type Query<R> = Call<R> extends { query: infer Q } ? Q : never

/** The caller himself, his keys, and how one signs in. */
export function account(options: ClientOptions) {
  return {
    me: (): Promise<people.Me> => call(options, people.getMe, {}),
    authOptions: (): Promise<Output<typeof people.getAuthOptions>> => call(options, people.getAuthOptions, {}),
    redeemSignInLink: (token: string): Promise<Output<typeof people.redeemSignInLink>> =>
      call(options, people.redeemSignInLink, { body: { token } }),
    createKey: (body: Body<typeof people.createKey>): Promise<Output<typeof people.createKey>> =>
      call(options, people.createKey, { body }),
    keys: (query: Query<typeof people.listKeys> = {}): Promise<Page<people.ApiKey>> =>
      call(options, people.listKeys, { query }),
    revokeKey: (id: string): Promise<{ ok: true }> => call(options, people.deleteKey, { params: { id } }),
    addSshKey: (body: Body<typeof ssh.createSshKey>): Promise<ssh.SshKey> => call(options, ssh.createSshKey, { body }),
    sshKeys: (query: Query<typeof ssh.listSshKeys> = {}): Promise<Page<ssh.SshKey>> =>
      call(options, ssh.listSshKeys, { query }),
    removeSshKey: (id: string): Promise<{ ok: true }> => call(options, ssh.deleteSshKey, { params: { id } }),
  }
}

/** What was used in a month, and the most that may be paid for more. */
export function usageOf(options: ClientOptions) {
  return {
    get: (month?: string): Promise<usage.Usage> =>
      call(options, usage.getUsage, { query: month === undefined ? {} : { month } }),
    setBudget: (budgetCents: number): Promise<usage.Usage> => call(options, usage.putBudget, { body: { budgetCents } }),
    plans: (query: Query<typeof usage.listPlans> = {}): Promise<Page<usage.Plan>> =>
      call(options, usage.listPlans, { query }),
  }
}

export function templatesOf(options: ClientOptions) {
  return {
    list: (): Promise<Output<typeof templates.listTemplates>> => call(options, templates.listTemplates, {}),
    get: (name: string): Promise<templates.Template> => call(options, templates.getTemplate, { params: { name } }),
    build: (name: string): Promise<templates.Template> => call(options, templates.buildTemplate, { params: { name } }),
  }
}

/** For callers with the operator role. */
export function admin(options: ClientOptions) {
  return {
    settings: (): Promise<people.Settings> => call(options, people.getSettings, {}),
    updateSettings: (body: Body<typeof people.updateSettings>): Promise<people.Settings> =>
      call(options, people.updateSettings, { body }),
    createUser: (body: Body<typeof people.adminCreateUser>): Promise<Output<typeof people.adminCreateUser>> =>
      call(options, people.adminCreateUser, { body }),
    users: (query: Query<typeof people.adminListUsers> = {}): Promise<Page<people.User>> =>
      call(options, people.adminListUsers, { query }),
    hosts: (): Promise<Output<typeof templates.listHosts>> => call(options, templates.listHosts, {}),
    createPlan: (body: Body<typeof usage.createPlan>): Promise<usage.Plan> => call(options, usage.createPlan, { body }),
    updatePlan: (id: string, body: Body<typeof usage.updatePlan>): Promise<usage.Plan> =>
      call(options, usage.updatePlan, { params: { id }, body }),
    assignPlan: (teamId: string, planId: string): Promise<usage.Plan> =>
      call(options, usage.assignPlan, { params: { teamId }, body: { planId } }),
  }
}
