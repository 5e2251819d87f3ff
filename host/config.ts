import { z } from 'zod'
import { logLevels } from '../lib/log.ts'

const Port = z.coerce.number().int().min(1).max(65_535)
const Path = z.string().startsWith('/', 'must be an absolute path')

/** A private /16 in canonical form, out of which every sandbox gets a link. */
const Subnet = z
  .string()
  .regex(/^(?:10\.\d{1,3}|172\.(?:1[6-9]|2\d|3[01])|192\.168)\.0\.0\/16$/, 'must be a private /16, like 10.213.0.0/16')
  .refine((text) => Number(text.split('.')[1]) <= 255, 'must be a private /16, like 10.213.0.0/16')

/** What the host process is told by whoever starts it. */
export const HostConfig = z.object({
  SLOPBOX_LOG_LEVEL: z.enum(logLevels).default('info').describe('Least severe log lines to write.'),
  SLOPBOX_READY_FD: z.coerce.number().int().min(0).nullable().default(null).describe('Descriptor to announce on.'),
  SLOPBOX_CREDENTIALS: Path.describe(
    'Directory with `control.token` and `gateway.token`, readable only by this process.',
  ),
  SLOPBOX_CONTROL_SOCKET: Path.describe('Unix socket control listens on.'),
  SLOPBOX_GATEWAY_SOCKET: Path.describe('Unix socket the gateway takes tunnels on.'),
  SLOPBOX_HOST_DATA: Path.describe('Directory for templates, disks, volumes and counters.'),
  SLOPBOX_NETWORK_FILE: Path.describe('File that tells egress which link belongs to whom.'),
  SLOPBOX_EGRESS_CA_FILE: Path.describe("PEM of the installation's interception authority, put into sandboxes."),
  SLOPBOX_EGRESS_HTTP_PORT: Port.describe('Where egress takes redirected port 80.'),
  SLOPBOX_EGRESS_TLS_PORT: Port.describe('Where egress takes redirected port 443.'),
  SLOPBOX_EGRESS_PROXY_PORT: Port.describe('Where egress is an explicit proxy.'),
  SLOPBOX_EGRESS_DNS_PORT: Port.describe('Where egress answers DNS, UDP and TCP.'),
  SLOPBOX_INSTANCE: z
    .string()
    .regex(/^[0-9a-f]{4}$/, 'must be four lower-case hexadecimal digits')
    .describe('Part of the names of links, tables and cgroups; unique per data directory.'),
  SLOPBOX_SUBNET: Subnet.describe("Private /16 for the sandboxes' links."),
  SLOPBOX_DRIVER: z.enum(['oci', 'fake']).default('oci').describe('How sandboxes are run.'),
  SLOPBOX_OCI_RUNTIME: z.enum(['crun', 'runc']).default('crun').describe('OCI runtime of the `oci` driver.'),
})
export type HostConfig = z.output<typeof HostConfig>
