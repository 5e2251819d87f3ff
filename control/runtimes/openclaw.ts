import type { Personality } from '../../contract/agents.ts'
import type { SandboxSpec } from '../../contract/sync.ts'
import { makePersonalityFiles } from '../../core/personality.ts'
import {
  homeDirectory,
  modelAlias,
  openclawConfig,
  openclawPort,
  ownerScopes,
  scopesHeader,
  userHeader,
  workspaceDirectory,
} from './openclaw-config.ts'
import type { AgentFacts, AgentRuntime, PersonalityFileName } from './runtime.ts'

const base = 'openclaw'
const inside = `/etc/slopbox/${base}`

/** OpenClaw drains work for up to five minutes on SIGTERM; ten seconds, then it is killed, from which it recovers cleanly. */
const stopGraceMs = 10_000
/** Boots in 10–14 s on two idle cores and in over a minute on busy ones. */
const bootTimeoutMs = 180_000

/**
 * Personality files go into the workspace when they differ from what was put there last, so an edit by the agent itself
 * stays until the owner changes the personality. The copies are kept in the workspace, because it outlives the disk.
 */
const applyScript = `#!/bin/sh
set -eu
workspace=${workspaceDirectory}
mkdir -p "$workspace/.slopbox"
for source in ${inside}/workspace/*.md; do
  name=\${source##*/}
  if ! cmp -s "$source" "$workspace/.slopbox/$name"; then
    cp "$source" "$workspace/$name.new"
    mv "$workspace/$name.new" "$workspace/$name"
    cp "$source" "$workspace/.slopbox/$name"
  fi
done
`

/** The model's alias is dialled directly, since the redirect below the sandbox takes plain HTTP to the gate anyway. */
const startScript = `#!/bin/sh
set -eu
mkdir -p ${homeDirectory}/.openclaw/logs
${inside}/apply.sh
export HTTP_PROXY=http://{{hostAddress}}:3128 HTTPS_PROXY=http://{{hostAddress}}:3128
export NO_PROXY=${modelAlias},localhost,127.0.0.1,::1
export http_proxy="$HTTP_PROXY" https_proxy="$HTTPS_PROXY" no_proxy="$NO_PROXY"
cd ${workspaceDirectory}
exec openclaw gateway run --port ${openclawPort}
`

/** A request with forwarded headers must name a client that is not loopback; this is a documentation address (RFC 5737). */
const probeClient = '192.0.2.1'

export const openclaw: AgentRuntime = {
  name: 'openclaw',
  template: 'openclaw',
  spec,
  makeFiles,
  uiAccess: (userId) => ({
    port: openclawPort,
    headers: { [userHeader]: userId, [scopesHeader]: ownerScopes.join(',') },
  }),
}

function makeFiles(name: string, personality: Personality): Record<PersonalityFileName, string> {
  return makePersonalityFiles(name, personality)
}

function spec(agent: AgentFacts): SandboxSpec {
  return {
    template: agent.templateKey,
    isolation: 'container',
    size: agent.size,
    env: {
      HOME: homeDirectory,
      OPENCLAW_STATE_DIR: `${homeDirectory}/.openclaw`,
      OPENCLAW_CONFIG_PATH: `${inside}/openclaw.json`,
      OPENCLAW_CONFIG_READONLY: '1',
      OPENCLAW_DISABLE_BONJOUR: '1',
      OPENCLAW_NO_AUTO_UPDATE: '1',
      OPENCLAW_NO_RESPAWN: '1',
    },
    user: 'user',
    cwd: workspaceDirectory,
    start: { command: ['/bin/sh', `${inside}/start.sh`], restart: 'always', stopGraceMs },
    ready: {
      port: openclawPort,
      path: '/readyz',
      headers: { 'x-forwarded-for': probeClient },
      timeoutMs: bootTimeoutMs,
    },
    files: specFiles(agent),
    onFilesChanged: ['/bin/sh', `${inside}/apply.sh`],
    volumes: [{ id: agent.volumeId, path: workspaceDirectory }],
  }
}

function specFiles(agent: AgentFacts): SandboxSpec['files'] {
  const personality = { ...makeFiles(agent.name, agent.personality), ...agent.ownFiles }
  return [
    { path: `${base}/openclaw.json`, content: JSON.stringify(openclawConfig(agent), null, 2), executable: false },
    { path: `${base}/start.sh`, content: startScript, executable: true },
    { path: `${base}/apply.sh`, content: applyScript, executable: true },
    ...Object.entries(personality).map(([name, content]) => ({
      path: `${base}/workspace/${name}`,
      content,
      executable: false,
    })),
  ]
}
