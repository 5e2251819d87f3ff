/** Every address of the console. Links are made only from here, so that a page can move in one place. */
export const agentTabs = ['chat', 'personality', 'network', 'usage', 'activity', 'settings'] as const
export type AgentTab = (typeof agentTabs)[number]

export const paths = {
  home: () => '/',
  signIn: () => '/sign-in',
  agents: () => '/agents',
  newAgent: () => '/agents/new',
  agent: (id: string, tab: AgentTab = 'chat') => `/agents/${encodeURIComponent(id)}/${tab}`,
  /** The agent's own UI. The gateway answers here with a signed redirect to the agent's own origin; not a console page. */
  agentUi: (id: string) => `/agents/${encodeURIComponent(id)}/gateway/`,
  secrets: () => '/secrets',
  usage: () => '/usage',
  settings: () => '/settings',
  templates: () => '/operator/templates',
  hosts: () => '/operator/hosts',
  users: () => '/operator/users',
  plans: () => '/operator/plans',
  audit: () => '/operator/audit',
  system: () => '/operator/settings',
} as const

export const isAgentTab = (tab: string): tab is AgentTab => (agentTabs as readonly string[]).includes(tab)

/** Where to go after signing in: only a path of this console, never another site (`//evil`, `https:`, backslashes). */
export function safeReturn(to: string | undefined): string {
  if (to === undefined || !/^\/(?![/\\])/.test(to) || to.startsWith(paths.signIn())) return paths.agents()
  return to
}
