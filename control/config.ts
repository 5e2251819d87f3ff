import { z } from 'zod'
import { logLevels } from '../lib/log.ts'

const optional = z.string().min(1).optional()

/** What control must know before its database is open. Everything an operator changes while it runs is in `settings`. */
export const ControlConfig = z.object({
  SLOPBOX_LOG_LEVEL: z.enum(logLevels).default('info').describe('How much is logged.'),
  SLOPBOX_READY_FD: z.coerce.number().int().min(0).optional().describe('Descriptor that gets `ready` when it serves.'),
  SLOPBOX_CREDENTIALS: z.string().min(1).describe("Directory with this process's credential files (mode 0700)."),
  SLOPBOX_CONTROL_SOCKET: z.string().min(1).describe('Unix socket to listen on.'),
  SLOPBOX_GATEWAY_SOCKET: z.string().min(1).describe("The gateway's internal Unix socket, for calls into sandboxes."),
  SLOPBOX_DATABASE_URL: z
    .url({ protocol: /^postgres(ql)?$/ })
    .or(z.string().regex(/^postgres(ql)?:\/\//))
    .describe('PostgreSQL, version 15 or newer.'),
  SLOPBOX_PUBLIC_URL: z
    .url({ protocol: /^https?$/ })
    .describe('Origin under which people reach console and API, for example `http://slopbox.localhost:8480`.'),
  SLOPBOX_DOMAIN: z
    .string()
    .min(1)
    .describe('Domain of agents and sandboxes with its port, for example `slopbox.localhost:8480`.'),
  SLOPBOX_EGRESS_CENTRAL_URL: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe(
      'Where machines elsewhere reach the forward proxy, for example `http://10.0.0.5:3129`; not set: it is off.',
    ),
  SLOPBOX_GITHUB_CLIENT_ID: optional.describe('With the secret: people may sign in with GitHub.'),
  SLOPBOX_GITHUB_CLIENT_SECRET: optional.describe('Belongs to SLOPBOX_GITHUB_CLIENT_ID.'),
  SLOPBOX_GOOGLE_CLIENT_ID: optional.describe('With the secret: people may sign in with Google.'),
  SLOPBOX_GOOGLE_CLIENT_SECRET: optional.describe('Belongs to SLOPBOX_GOOGLE_CLIENT_ID.'),
})
export type ControlConfig = z.infer<typeof ControlConfig>
