import { z } from 'zod'

/**
 * `network.json`: who is behind which link. Written by the host process (atomic rename) before a sandbox's interface
 * comes up, read by egress whenever it meets a pair it does not know. A connection whose pair of addresses is not listed
 * has no identity and is refused.
 */
export const NetworkTable = z.object({
  links: z.array(
    z.object({
      sandboxId: z.string(),
      interface: z.string(),
      hostAddress: z.ipv4().describe("Host's end of the link: `socket.localAddress` of redirected connections."),
      sandboxAddress: z.ipv4().describe("Sandbox's end; the host drops packets from the link with any other source."),
    }),
  ),
})
export type NetworkTable = z.infer<typeof NetworkTable>

/** Every allowed name resolves to this inside (RFC 2544 range): connections are redirected and dialled by name outside. */
export const syntheticAddress = '198.18.0.1'
/** Port of the explicit proxy on the host's end of every link. */
export const proxyPort = 3128
