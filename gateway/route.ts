import { AgentId, SandboxId } from '../contract/ids.ts'

/**
 * Which of the three kinds of origin a request is for. They never mix: what is not exactly one of them is unknown, and
 * unknown is never the app, so a name somebody points at this listener shows nobody's console.
 */
export type Destination =
  | { kind: 'app' }
  | { kind: 'agent'; agentId: string }
  | { kind: 'port'; sandboxId: string; port: number }
  | { kind: 'unknown' }

export interface HostTable {
  /** The installation's own name, without port. */
  domain: string
  /** Ports under which clients reach this listener: those it listens on and the one in the public name. */
  ports: readonly number[]
}

const loopbackNames = new Set(['localhost', '127.0.0.1', '[::1]'])

/** `host` is the value of the Host header, `secure` whether it came over TLS (which decides the port when none is named). */
export function routeHost(host: string, secure: boolean, table: HostTable): Destination {
  const match = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(host.toLowerCase())
  const name = match?.[1]?.replace(/\.$/, '')
  if (name === undefined) return { kind: 'unknown' }
  const port = match?.[2] === undefined ? (secure ? 443 : 80) : Number(match[2])
  const ownPort = table.ports.includes(port)
  if (loopbackNames.has(name)) return ownPort ? { kind: 'app' } : { kind: 'unknown' }
  // A proxy in front may listen on the default ports, and then clients name none.
  if (!ownPort && match?.[2] !== undefined) return { kind: 'unknown' }
  if (name === table.domain) return { kind: 'app' }
  if (!name.endsWith(`.${table.domain}`)) return { kind: 'unknown' }
  return routeLabels(name.slice(0, -table.domain.length - 1))
}

function routeLabels(labels: string): Destination {
  const agent = /^([a-z0-9]+)\.agent$/.exec(labels)?.[1]
  if (agent !== undefined)
    return AgentId.safeParse(agent).success ? { kind: 'agent', agentId: agent } : { kind: 'unknown' }
  const match = /^([1-9]\d{0,4})-([a-z0-9]+)$/.exec(labels)
  const port = Number(match?.[1])
  const sandboxId = match?.[2] ?? ''
  if (!(port <= 65_535) || !SandboxId.safeParse(sandboxId).success) return { kind: 'unknown' }
  return { kind: 'port', sandboxId, port }
}

/** Name and port of `SLOPBOX_DOMAIN`; the port is null when clients use the default ones. */
export function splitDomain(domain: string): { name: string; port: number | null } {
  const [name = '', port] = domain.toLowerCase().split(':')
  return { name, port: port === undefined ? null : Number(port) }
}
