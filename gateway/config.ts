import { z } from 'zod'
import { logLevels } from '../lib/log.ts'

const Address = z.string().transform((text, context) => {
  const match = /^(\[[0-9A-Fa-f:.]+\]|[^:[\]]+):(\d{1,5})$/.exec(text.trim())
  const port = Number(match?.[2])
  if (match?.[1] === undefined || !(port <= 65_535)) {
    context.addIssue({ code: 'custom', message: `"${text}" is not an address and port, such as 127.0.0.1:8480` })
    return z.NEVER
  }
  return { host: match[1].replace(/^\[|\]$/g, ''), port }
})

export const GatewayConfig = z.object({
  SLOPBOX_LOG_LEVEL: z.enum(logLevels).default('info').describe('Least severity that is logged.'),
  SLOPBOX_READY_FD: z.coerce
    .number()
    .int()
    .nullable()
    .default(null)
    .describe('File descriptor that gets one line when this process serves.'),
  SLOPBOX_CREDENTIALS: z.string().min(1).describe("Directory of this process's credential files."),
  SLOPBOX_CONTROL_SOCKET: z.string().min(1).describe("Path of control's Unix socket."),
  SLOPBOX_GATEWAY_SOCKET: z
    .string()
    .min(1)
    .describe('Path of the Unix socket on which hosts connect their tunnels and control dials.'),
  SLOPBOX_GATEWAY_DATA: z.string().min(1).describe('Directory for certificates, counters and waiting audit records.'),
  SLOPBOX_DOMAIN: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$/, 'not a lower-case host name with an optional port')
    .describe('Public name, with the port when it is not the default one.'),
  SLOPBOX_LISTEN: z
    .string()
    .transform((text) => text.split(','))
    .pipe(z.array(Address).min(1))
    .describe('Addresses to listen on, comma-separated; each speaks HTTP and TLS.'),
  SLOPBOX_SSH_LISTEN: z
    .string()
    .default('')
    .transform((text) => (text === '' ? [] : text.split(',')))
    .pipe(z.array(Address))
    .describe('Addresses to listen on for SSH, comma-separated; empty: none.'),
  SLOPBOX_CONSOLE_DIR: z.string().min(1).describe('Directory of the built console.'),
  SLOPBOX_GATEWAY_CA_FILE: z
    .string()
    .min(1)
    .describe('Certificate of the local authority that signs TLS certificates.'),
})
export type GatewayConfig = z.infer<typeof GatewayConfig>
