import * as api from '../contract/egress.ts'
import type { Call, Output } from '../contract/route.ts'
import { call, type ClientOptions } from './call.ts'
import type { Page } from './pages.ts'

type Body<R> = Call<R> extends { body: infer B } ? B : never
type Query<R> = Call<R> extends { query: infer Q } ? Q : never

/** What agents may reach, and what they tried. */
export function egress(options: ClientOptions) {
  return {
    allow: (body: Body<typeof api.createRule>): Promise<Output<typeof api.createRule>> =>
      call(options, api.createRule, { body }),
    rules: (query: Query<typeof api.listRules> = {}): Promise<Page<api.EgressRule>> =>
      call(options, api.listRules, { query }),
    removeRule: (id: string): Promise<{ ok: true }> => call(options, api.deleteRule, { params: { id } }),
    check: (agentId: string, url: string): Promise<Output<typeof api.checkEgress>> =>
      call(options, api.checkEgress, { query: { agentId, url } }),
    audit: (query: Query<typeof api.listAudit> = {}): Promise<Page<api.AuditRecord>> =>
      call(options, api.listAudit, { query }),
  }
}

/** Credentials that are used outside sandboxes and never shown again. */
export function secrets(options: ClientOptions) {
  return {
    set: (name: string, body: Body<typeof api.putSecret>): Promise<api.Secret> =>
      call(options, api.putSecret, { params: { name }, body }),
    list: (query: Query<typeof api.listSecrets> = {}): Promise<Page<api.Secret>> =>
      call(options, api.listSecrets, { query }),
    remove: (name: string): Promise<{ ok: true }> => call(options, api.deleteSecret, { params: { name } }),
  }
}
