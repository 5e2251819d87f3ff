/**
 * A terminal in a sandbox: a WebSocket (RFC 6455) at `/v1/sandboxes/{id}/pty`, authenticated as every other operation; with
 * a cookie, `Origin` must be the API's own. Binary messages are the terminal's bytes, both ways. Text messages are JSON: the
 * client's first is `start`, the server answers `ready`, and its last is `exit` or `error`. Closing it kills the command.
 */
import { z } from 'zod'
import { CommandExit } from './commands.ts'
import { ExecRequest } from './sandboxes.ts'

export const ptyPath = /^\/v1\/sandboxes\/([a-z0-9]+)\/pty$/

export const TerminalSize = z.object({ cols: z.int().min(1).max(2000), rows: z.int().min(1).max(2000) })
export type TerminalSize = z.infer<typeof TerminalSize>

/** A login shell: bash where the template has it, else sh. */
export const loginShell = ['/bin/sh', '-c', 'command -v bash >/dev/null && exec bash -l; exec sh -l']

export const PtyStart = ExecRequest.omit({ stdin: true }).extend({
  type: z.literal('start'),
  command: ExecRequest.shape.command.default(loginShell),
  timeoutMs: ExecRequest.shape.timeoutMs.unwrap().default(24 * 3_600_000),
  ...TerminalSize.shape,
})

export const PtyClientMessage = z.discriminatedUnion('type', [
  PtyStart,
  TerminalSize.extend({ type: z.literal('resize') }),
  z.object({ type: z.literal('signal'), signal: z.string().max(16) }),
])
export type PtyClientMessage = z.infer<typeof PtyClientMessage>

export const PtyServerMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready') }),
  CommandExit.extend({ type: z.literal('exit') }),
  z.object({ type: z.literal('error'), code: z.string(), message: z.string(), hint: z.string().nullable() }),
])
export type PtyServerMessage = z.infer<typeof PtyServerMessage>
