import { readFileSync, statSync } from 'node:fs'
import { NetworkTable } from '../contract/network.ts'
import type { Log } from '../lib/log.ts'

export interface Identify {
  /** Sandbox behind a TCP connection. Both ends must be those of one link: neither alone proves anything. */
  byPair(localAddress: string | undefined, remoteAddress: string | undefined): string | undefined
  /**
   * Sandbox behind a UDP packet, whose local address the socket does not tell. The host drops packets from a link with
   * any source but the link's own, and the addresses of links differ.
   */
  bySource(remoteAddress: string): string | undefined
}

/** Reads the host's table of links; looks again when it meets an unknown address and the file has changed since. */
export function identifyFromFile(path: string, log: Log): Identify {
  let pairs = new Map<string, string>()
  let sources = new Map<string, string>()
  let version = ''

  const refresh = (): boolean => {
    try {
      const { mtimeNs, size, ino } = statSync(path, { bigint: true })
      const seen = `${mtimeNs}:${size}:${ino}`
      if (seen === version) return false
      const { links } = NetworkTable.parse(JSON.parse(readFileSync(path, 'utf8')))
      pairs = new Map(links.map((link) => [`${link.hostAddress} ${link.sandboxAddress}`, link.sandboxId]))
      sources = new Map(links.map((link) => [link.sandboxAddress, link.sandboxId]))
      version = seen
      return true
    } catch (error) {
      // Nobody is identified by a table that cannot be read.
      pairs = new Map()
      sources = new Map()
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        log.error({ err: error, path }, 'network table unreadable')
      version = ''
      return false
    }
  }
  refresh()
  // The file is looked at on every lookup (one stat), so that a link that was given to another sandbox is never stale.
  return {
    byPair(localAddress, remoteAddress) {
      refresh()
      return pairs.get(`${bare(localAddress)} ${bare(remoteAddress)}`)
    },
    bySource(remoteAddress) {
      refresh()
      return sources.get(bare(remoteAddress))
    },
  }
}

/** Dual-stack listeners report IPv4 peers in mapped form. */
const bare = (address: string | undefined): string => address?.replace(/^::ffff:(?=\d+\.)/, '') ?? ''
