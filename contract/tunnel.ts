/**
 * The tunnel: a host connects to a gateway, then the roles turn round. The gateway speaks HTTP/2 as a client over that
 * connection and the host serves; so hosts need no inbound port, and streams are multiplexed with flow control
 * (RFC 9113 §5.2). Before the turn the host sends one HTTP/1.1 request, `GET /internal/tunnel` with
 * `Upgrade: slopbox-tunnel`, `Authorization: Bearer <host credential>` and `X-Slopbox-Host: <host id>`; the gateway answers 101.
 *
 * Streams the host serves:
 *
 *   POST /exec   body: frames; first a `start` frame. Reply 200, body: frames, the last one `exit` or `error`.
 *   POST /commands   body: one frame, a `CommandCall`. Reply 200, body: JSON; for `output` frames, the last one `exit`.
 *   POST /files   body: one frame, a `FileCall`. Reply 200, body: JSON; for `read` eight bytes of size and the bytes. `write` is
 *                 answered when it may begin: then frames of stdin up to `stdinEnd` go in, and a control frame with the
 *                 `FileInfo` or a `WireError` comes out.
 *   POST /dial   `x-slopbox-sandbox`, `x-slopbox-port`. Reply 200, then raw bytes both ways.
 *   GET  /logs?tail=N&follow=0|1   `x-slopbox-sandbox`. Reply 200, body: JSON lines of `LogLine`.
 *
 * A failure before the 200 is a JSON `WireError` with its status.
 */
import { z } from 'zod'
import { CommandRequest } from './commands.ts'
import { TerminalSize } from './pty.ts'
import { ExecRequest } from './sandboxes.ts'

export const tunnelProtocol = 'slopbox-tunnel'

/** One byte of channel, four of length (big endian), then the payload; at most `maxFrameBytes`. */
export const channels = { control: 0, stdin: 1, stdout: 2, stderr: 3, stdinEnd: 4 } as const
export const maxFrameBytes = 1024 * 1024

/** Payloads of the control channel, as JSON. */
export const ControlFrame = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('start'),
    sandboxId: z.string(),
    request: ExecRequest.omit({ stdin: true }),
    keepStdin: z.boolean(),
    /** A terminal instead of three streams: all output is standard output. */
    terminal: TerminalSize.optional(),
  }),
  TerminalSize.extend({ type: z.literal('resize') }),
  z.object({ type: z.literal('signal'), signal: z.string() }),
  z.object({
    type: z.literal('exit'),
    code: z.int().nullable(),
    signal: z.string().nullable(),
    reason: z.enum(['exited', 'timeout', 'killed']),
  }),
  z.object({ type: z.literal('error'), code: z.string(), message: z.string(), hint: z.string().nullable() }),
  z.object({ type: z.literal('dropped'), bytes: z.int() }),
])
export type ControlFrame = z.infer<typeof ControlFrame>

/** What is asked of a host's background commands. `data` is base64. */
export const CommandCall = z.discriminatedUnion('op', [
  z.object({ op: z.literal('start'), sandboxId: z.string(), request: CommandRequest }),
  z.object({ op: z.literal('list'), sandboxId: z.string() }),
  z.object({ op: z.literal('get'), sandboxId: z.string(), commandId: z.string(), waitMs: z.number() }),
  z.object({ op: z.literal('output'), sandboxId: z.string(), commandId: z.string(), from: z.number() }),
  z.object({
    op: z.literal('input'),
    sandboxId: z.string(),
    commandId: z.string(),
    data: z.string(),
    end: z.boolean(),
  }),
  z.object({ op: z.literal('signal'), sandboxId: z.string(), commandId: z.string(), signal: z.string() }),
  z.object({ op: z.literal('kill'), sandboxId: z.string(), commandId: z.string() }),
])
export type CommandCall = z.infer<typeof CommandCall>

const user = z.string().optional()
const path = z.string()
/** What is asked about a sandbox's files. */
export const FileCall = z.discriminatedUnion('op', [
  z.object({ op: z.literal('read'), sandboxId: z.string(), user, path }),
  z.object({
    op: z.literal('write'),
    sandboxId: z.string(),
    user,
    path,
    mode: z.string().optional(),
    append: z.boolean(),
  }),
  z.object({ op: z.literal('stat'), sandboxId: z.string(), user, path }),
  z.object({ op: z.literal('list'), sandboxId: z.string(), user, path, depth: z.number() }),
  z.object({ op: z.literal('mkdir'), sandboxId: z.string(), user, path, mode: z.string().optional() }),
  z.object({ op: z.literal('move'), sandboxId: z.string(), user, from: path, to: path }),
  z.object({ op: z.literal('chmod'), sandboxId: z.string(), user, path, mode: z.string() }),
  z.object({ op: z.literal('chown'), sandboxId: z.string(), user, path, uid: z.number(), gid: z.number() }),
  z.object({ op: z.literal('remove'), sandboxId: z.string(), user, path, recursive: z.boolean() }),
])
export type FileCall = z.infer<typeof FileCall>
