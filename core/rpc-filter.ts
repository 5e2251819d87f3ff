import { allowedMethods } from './rpc-methods.ts'

/**
 * What happens to one message from the owner's browser to an OpenClaw agent. `forward` carries the message rebuilt from
 * what was judged, so that no second reading of the original bytes can mean something else.
 */
export type Verdict =
  | { action: 'forward'; frame: Record<string, unknown>; method: string }
  | { action: 'refuse'; reply: Record<string, unknown>; method: string; reason: string }
  | { action: 'close'; reason: string }

/** `connect` until the first call was let through, `open` afterwards. */
export type Phase = 'connect' | 'open'

/** Judges one parsed message. `scopes` are the most this owner may have. */
export function filterFrame(message: unknown, phase: Phase, scopes: readonly string[]): Verdict {
  if (!isRecord(message) || message['type'] !== 'req') return { action: 'close', reason: 'only requests are accepted' }
  const { id, method, params = {}, traceparent } = message
  if (typeof id !== 'string' || id === '' || id.length > 200)
    return { action: 'close', reason: 'request without an id' }
  if (typeof method !== 'string' || method === '' || method.length > 200)
    return { action: 'close', reason: 'request without a method' }
  if (!isRecord(params)) return refuse(id, method, 'params must be an object')
  const trace = typeof traceparent === 'string' ? { traceparent } : {}
  if (phase === 'connect') {
    if (method !== 'connect') return { action: 'close', reason: 'the first request must be connect' }
    const reason = whyNotConnect(params)
    if (reason !== undefined) return refuse(id, method, reason)
    return { action: 'forward', method, frame: { type: 'req', id, method, params: asOwner(params, scopes), ...trace } }
  }
  const reason = whyNotCall(method, params)
  if (reason !== undefined) return refuse(id, method, reason)
  return { action: 'forward', method, frame: { type: 'req', id, method, params, ...trace } }
}

/** The sentence to show, or undefined when the call may pass. */
export function whyNotCall(method: string, params: Readonly<Record<string, unknown>>): string | undefined {
  if (!allowedMethods.has(method)) return `${method} is not open to this page; use the Slopbox console for settings`
  return parameterRules[method]?.(params)
}

function whyNotConnect(params: Readonly<Record<string, unknown>>): string | undefined {
  // Nodes and workers offer tools to the agent: a browser is neither.
  if (params['role'] !== undefined && params['role'] !== 'operator') return 'connect: role must be operator'
  const client = params['client']
  const mode = isRecord(client) ? client['mode'] : undefined
  if (mode === 'node' || mode === 'worker') return `connect: mode ${mode} is not open to this page`
  return undefined
}

/**
 * Without a device and without credentials of its own, the connection is whoever the gateway's headers say, with the
 * scopes configured for that identity; the page's own list can only narrow them.
 */
function asOwner(params: Readonly<Record<string, unknown>>, scopes: readonly string[]): Record<string, unknown> {
  const { device: _device, auth: _auth, scopes: asked, ...rest } = params
  const wanted = Array.isArray(asked) ? scopes.filter((scope) => asked.includes(scope)) : [...scopes]
  return { ...rest, role: 'operator', scopes: wanted }
}

type Rule = (params: Readonly<Record<string, unknown>>) => string | undefined

const patchable = [
  'key agentId expectedSessionId expectedLifecycleRevision expectedPermissionMode expectedSandboxMode',
  'expectedNativeRuntimeConsent expectedToolOverrides expectedMarkedUnreadAt label autoLabel icon color category',
  'boardFace boardPresentation statusNote attention ttlMinutes archived pinned unread contextWindow thinkingLevel',
  'fastMode verboseLevel traceLevel reasoningLevel responseUsage model',
].flatMap((line) => line.split(' '))
const creatable = [
  'key idempotencyKey agentId label displayName titleSource category model contextWindow thinkingLevel fastMode',
  'incognito parentSessionKey fork forkFrom emitCommandHooks succeedsParent timeoutMs task message mentions attachments',
].flatMap((line) => line.split(' '))
const sendable = [
  'sessionKey key agentId sessionId message mentions workContext intent thinking fastMode fastAutoOnSeconds queueMode',
  'replyToId attachments timeoutMs suppressCommandInterpretation expectedLeafEntryId expectedSessionRoutingContract',
  'expectedPermissionMode expectedToolOverrides idempotencyKey',
].flatMap((line) => line.split(' '))

const parameterRules: Readonly<Record<string, Rule>> = {
  'chat.send': (params) => onlySet('chat.send', params, sendable, { deliver: false }) ?? plainText(params['message']),
  'sessions.steer': (params) =>
    onlySet('sessions.steer', params, sendable, { deliver: false }) ?? plainText(params['message']),
  'sessions.create': (params) =>
    onlySet('sessions.create', params, creatable, { visibility: 'private' }) ??
    plainText(params['message']) ??
    plainText(params['task']),
  'sessions.patch': (params) => onlySet('sessions.patch', params, patchable),
  'sessions.delete': (params) =>
    params['archivedOnly'] === true ? undefined : 'sessions.delete: only archived sessions may be deleted here',
}

/**
 * Undefined when only the named parameters have a value. Null passes everywhere: it asks for the configured default,
 * and the configuration is ours.
 */
function onlySet(
  method: string,
  params: Readonly<Record<string, unknown>>,
  names: readonly string[],
  exactly: Readonly<Record<string, unknown>> = {},
): string | undefined {
  const bad = Object.entries(params).find(
    ([name, value]) => value != null && !names.includes(name) && !(name in exactly && exactly[name] === value),
  )
  return bad === undefined ? undefined : `${method}: ${bad[0].slice(0, 64)} cannot be set from this page`
}

/** Commands in a message that change what the agent may do; the runtime reads the first two anywhere in the text. */
const anywhere = /(?<!\S)\/(exec|elevated|elev)(?=$|\s|:)/i
const leading =
  /^\s*(?:@\S+\s+)*\/(config|bash|mcp|plugins?|debug|update|restart|allowlist|approve|acp|send|activation|trust|pair|node|nodes|gateway|secrets?|auth|login|permissions?|sandbox)(?=$|\s|:)/i
const shell = /^\s*!/

function plainText(text: unknown): string | undefined {
  if (text === undefined || text === null) return undefined
  if (typeof text !== 'string') return 'message must be text'
  const command = anywhere.exec(text)?.[1] ?? leading.exec(text)?.[1]
  if (command !== undefined) return `the command /${command.toLowerCase()} is not open to this page`
  return shell.test(text) ? 'shell commands with ! are not open to this page' : undefined
}

function refuse(id: string, method: string, reason: string): Verdict {
  const error = { code: 'FORBIDDEN', message: reason, details: { code: 'METHOD_BLOCKED', method, by: 'slopbox' } }
  return { action: 'refuse', method, reason, reply: { type: 'res', id, ok: false, error } }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
