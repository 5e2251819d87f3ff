import { z } from 'zod'
import { logLevels } from '../lib/log.ts'

const port = (what: string): z.ZodCoercedNumber => z.coerce.number().int().min(0).max(65_535).describe(what)

/** Settings of the egress process. Secrets are credential files, never settings. */
export const EgressConfig = z.object({
  SLOPBOX_LOG_LEVEL: z.enum(logLevels).default('info').describe('Least severity that is logged.'),
  SLOPBOX_READY_FD: z.coerce
    .number()
    .int()
    .nullable()
    .default(null)
    .describe('Descriptor that gets `ready` once the process serves; set by the supervisor.'),
  SLOPBOX_CREDENTIALS: z.string().min(1).describe('Directory with control.token, master.key and ca.key.'),
  SLOPBOX_CONTROL_SOCKET: z.string().min(1).describe("Control's private Unix socket."),
  SLOPBOX_EGRESS_DATA: z.string().min(1).describe('Directory for the audit spool and the usage counters.'),
  SLOPBOX_NETWORK_FILE: z.string().min(1).describe('Table of links, written by the host process.'),
  SLOPBOX_EGRESS_CA_FILE: z.string().min(1).describe("Public certificate of the installation's interception CA (PEM)."),
  SLOPBOX_EGRESS_LISTEN: z.ipv4().default('0.0.0.0').describe('Address the four listeners bind to.'),
  SLOPBOX_EGRESS_HTTP_PORT: port("Where sandboxes' port 80 is redirected to; 0: any free port."),
  SLOPBOX_EGRESS_TLS_PORT: port("Where sandboxes' port 443 is redirected to; 0: any free port."),
  SLOPBOX_EGRESS_PROXY_PORT: port('Where the explicit proxy of sandboxes is redirected to; 0: any free port.'),
  SLOPBOX_EGRESS_DNS_PORT: port("Where sandboxes' port 53 is redirected to, UDP and TCP; 0: any free port."),
  SLOPBOX_EGRESS_CENTRAL_LISTEN: z
    .string()
    .regex(/^(.+:\d{1,5})?$/, 'must be host:port or empty')
    .default('')
    .describe('host:port of the proxy for sandboxes on other machines, who prove themselves by token; empty: off.'),
})
export type EgressConfig = z.infer<typeof EgressConfig>
