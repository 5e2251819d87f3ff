/**
 * The locked-down configuration of an OpenClaw gateway (release 2026.9.6). The file is owned by root inside the sandbox
 * and the process runs with `OPENCLAW_CONFIG_READONLY=1`, so nothing inside loosens it; replacing it from outside is
 * applied while it runs. The sandbox is the boundary, so tools may run freely inside; what could reach around the
 * boundary or change the configuration is denied.
 */
import type { AgentFacts } from './runtime.ts'

export const openclawPort = 18_789
/** The one identity with every right: ours, over the gateway's internal dial. */
export const controlIdentity = 'control-plane'
export const ownerScopes = ['operator.read', 'operator.write', 'operator.questions'] as const
export const userHeader = 'x-forwarded-user'
export const scopesHeader = 'x-openclaw-scopes'

/** Name under which the sandbox reaches its model; egress knows the real endpoint and adds the key. */
export const modelAlias = 'model.slopbox.internal'
const provider = 'slopbox'
const noKey = 'no-key-needed'

export const homeDirectory = '/home/user'
export const workspaceDirectory = `${homeDirectory}/workspace`

const deniedTools = [
  'gateway',
  'nodes',
  'openclaw',
  'plugins',
  'secrets',
  'portal',
  'terminal',
  'computer',
  'mobile_ui',
  'canvas',
]

export function openclawConfig(agent: AgentFacts): object {
  return {
    gateway: gatewaySection(agent),
    models: modelsSection(agent),
    agents: {
      defaults: {
        workspace: workspaceDirectory,
        skipBootstrap: true,
        model: { primary: `${provider}/${agent.model.id}` },
        // A heartbeat would spend the owner's tokens every half hour without being asked.
        heartbeat: { every: '0m' },
        sandbox: { mode: 'off' },
      },
    },
    tools: {
      deny: deniedTools,
      elevated: { enabled: false },
      exec: { mode: 'full' },
      web: { fetch: { useTrustedEnvProxy: true } },
    },
    commands: { config: false, mcp: false, plugins: false, debug: false, bash: false, restart: false },
    browser: { enabled: false },
    // Nightly summaries of the memory would spend tokens as well.
    plugins: { entries: { 'memory-core': { config: { dreaming: { enabled: false } } } } },
    discovery: { mdns: { mode: 'off' } },
    hooks: { enabled: false },
    update: { checkOnStart: false },
    logging: { file: `${homeDirectory}/.openclaw/logs/openclaw.log` },
  }
}

function gatewaySection(agent: AgentFacts): object {
  return {
    mode: 'local',
    port: openclawPort,
    // Not loopback: what the agent's own tools send from inside must never look like the trusted proxy.
    bind: 'lan',
    trustedProxies: ['{{hostAddress}}'],
    auth: {
      mode: 'trusted-proxy',
      identityScopes: Object.fromEntries([
        ...agent.ownerIds.map((id) => [id, [...ownerScopes]]),
        [controlIdentity, ['operator.admin', ...ownerScopes]],
      ]),
      trustedProxy: {
        userHeader,
        requiredHeaders: ['x-forwarded-proto', 'x-forwarded-host'],
        allowUsers: [...agent.ownerIds, controlIdentity],
      },
    },
    controlUi: { allowedOrigins: [...agent.origins], communityInvite: false, automaticallyFetchFavicons: false },
    terminal: { enabled: false },
    cliAgents: { enabled: false },
    nodes: {
      allowSkills: false,
      pluginTools: { enabled: false },
      pairing: { autoApproveLocal: false, sshVerify: false },
    },
  }
}

function modelsSection(agent: AgentFacts): object {
  const { model } = agent
  return {
    mode: 'replace',
    catalogRefresh: { enabled: false },
    providers: {
      [provider]: {
        baseUrl: `http://${modelAlias}`,
        apiKey: agent.modelPlaceholder ?? noKey,
        api: model.api,
        models: [
          {
            id: model.id,
            name: model.id,
            reasoning: false,
            input: ['text'],
            cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 },
            contextWindow: model.contextTokens,
            maxTokens: model.maxOutputTokens,
          },
        ],
      },
    },
  }
}

/**
 * Where requests to the alias go: the endpoint, without the part of its path that the client inside adds again. The
 * Anthropic client adds `/v1` itself; the OpenAI ones do not.
 */
export function modelTarget(baseUrl: string, api: AgentFacts['model']['api']): string {
  const url = baseUrl.replace(/\/+$/, '')
  return api === 'anthropic-messages' ? url.replace(/\/v1$/, '') : url
}
