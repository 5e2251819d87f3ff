import { access } from 'node:fs/promises'
import { NetworkTable, proxyPort } from '../../../contract/network.ts'
import { SlopboxError } from '../../../contract/errors.ts'
import { readIfThere, writeAtomic } from './layout.ts'
import { command } from './process.ts'

/** One sandbox's link: names and addresses follow from its slot, so the machine's rules can know them beforehand. */
export interface Link {
  interface: string
  hostAddress: string
  sandboxAddress: string
}

export interface NetworkOptions {
  instance: string
  /** Range the links are cut from, four addresses each. */
  subnet: string
  /** Where egress listens on this machine. */
  ports: { http: number; tls: number; proxy: number; dns: number }
  /** Path of the `NetworkTable` that egress reads. */
  networkFile: string
}

/** Rules are loaded for this many slots at once. */
const batch = 256
/** Slots also number ranges of 65,536 user ids, of which these fit below 2^31 beside those that systemd and podman use. */
const maxSlots = 16_384

/** The machine's side of every sandbox's network: rules, names, addresses and the table that tells egress who is who. */
export class Network {
  readonly slots: number
  readonly #options: NetworkOptions
  readonly #first: number
  readonly #links = new Map<string, Link>()
  #loaded = new Set<number>()
  #writing: Promise<void> = Promise.resolve()

  constructor(options: NetworkOptions) {
    this.#options = options
    const [address = '', bits = ''] = options.subnet.split('/')
    this.#first = parseAddress(address)
    this.slots = Math.min(maxSlots, Math.floor(2 ** (32 - Number(bits)) / 4))
    if (!/^\d+$/.test(bits) || this.slots < 1)
      throw new SlopboxError('invalid_request', `subnet ${options.subnet} has no room for a link: use a /30 or wider`)
  }

  link(slot: number): Link {
    const base = this.#first + slot * 4
    return {
      interface: `s${this.#options.instance}${slot.toString(16).padStart(4, '0')}`,
      hostAddress: formatAddress(base + 1),
      sandboxAddress: formatAddress(base + 2),
    }
  }

  /** Replaces the machine's rules in one step, so there is no moment without them. */
  async load(slots: readonly number[]): Promise<void> {
    const batches = new Set([0, ...slots.map((slot) => Math.floor(slot / batch))])
    await nft(rules(this.#options) + [...batches].map((n) => this.#elements(n)).join(''))
    this.#loaded = batches
  }

  /** Makes sure the rules know the slot; they must before its link comes up. */
  async admit(slot: number): Promise<void> {
    const wanted = Math.floor(slot / batch)
    if (this.#loaded.has(wanted)) return
    await nft(this.#elements(wanted))
    this.#loaded.add(wanted)
  }

  /** Tells egress which sandbox is behind the link; resolves once the table is on disk. */
  async announce(id: string, link: Link): Promise<void> {
    this.#links.set(id, link)
    await this.#write()
  }

  async withdraw(id: string): Promise<void> {
    if (this.#links.delete(id)) await this.#write()
  }

  /** Replaces the table at the start of the process by what runs then. */
  async announceAll(links: ReadonlyMap<string, Link>): Promise<void> {
    this.#links.clear()
    for (const [id, link] of links) this.#links.set(id, link)
    await this.#write()
  }

  /** Removes the link and forgets the connections that went over it, so that the next owner of the address gets none of them. */
  async remove(link: Link): Promise<void> {
    if (await linkExists(link.interface)) {
      const result = await command('ip', ['link', 'delete', link.interface])
      // The link dies with the sandbox's network namespace and may be gone meanwhile.
      if (result.code !== 0 && (await linkExists(link.interface)))
        throw new Error(`ip link delete ${link.interface}: ${result.stderr.trim()}`)
    }
    await Promise.all(
      ['--orig-src', '--orig-dst'].map((side) => command('conntrack', ['-D', side, link.sandboxAddress], '', true)),
    )
  }

  /** Removes the machine's rules; only when no sandbox is left. */
  async unload(): Promise<void> {
    const table = `inet slopbox_${this.#options.instance}`
    await nft(`table ${table} {}\ndelete table ${table}\n`)
    this.#loaded.clear()
  }

  /** Writes are queued: the last one to finish holds everything announced before it began. */
  #write(): Promise<void> {
    this.#writing = this.#writing.then(
      () => this.#writeNow(),
      () => this.#writeNow(),
    )
    return this.#writing
  }

  async #writeNow(): Promise<void> {
    const links = [...this.#links].map(([sandboxId, link]) => ({ sandboxId, ...link }))
    // Readable for egress, which runs as another user; who may look is decided by the directory.
    await writeAtomic(this.#options.networkFile, JSON.stringify({ links } satisfies NetworkTable), 0o644)
  }

  #elements(index: number): string {
    const from = index * batch
    const links = Array.from({ length: Math.min(batch, this.slots - from) }, (_, i) => this.link(from + i))
    const set = (name: string, address: (link: Link) => string): string =>
      `add element inet slopbox_${this.#options.instance} ${name} { ${links
        .map((link) => `${link.interface} . ${address(link)}`)
        .join(', ')} }\n`
    return set('sandboxes', (l) => l.sandboxAddress) + set('gateways', (l) => l.hostAddress)
  }
}

/**
 * A link's packets come from its own address or are dropped; TCP 80, 443, DNS and the proxy port of its own gateway go to
 * egress; nothing else comes in, nothing is forwarded. Egress itself is closed to everybody but the links and this machine,
 * and only root (the host process) opens connections into a sandbox.
 */
function rules({ instance, ports }: NetworkOptions): string {
  const table = `inet slopbox_${instance}`
  const ours = `"s${instance}*"`
  return `table ${table} {}
delete table ${table}
table ${table} {
  set sandboxes { type ifname . ipv4_addr; }
  set gateways { type ifname . ipv4_addr; }
  chain arriving {
    type filter hook prerouting priority raw; policy accept;
    iifname ${ours} jump from_sandbox
  }
  chain from_sandbox {
    meta nfproto != ipv4 drop
    iifname . ip saddr != @sandboxes drop
    meta l4proto != { tcp, udp } drop
  }
  chain to_egress {
    type nat hook prerouting priority dstnat; policy accept;
    iifname != ${ours} accept
    tcp dport 80 redirect to :${ports.http}
    tcp dport 443 redirect to :${ports.tls}
    meta l4proto { tcp, udp } th dport 53 redirect to :${ports.dns}
    iifname . ip daddr @gateways tcp dport ${proxyPort} redirect to :${ports.proxy}
  }
  chain incoming {
    type filter hook input priority filter; policy accept;
    iifname ${ours} jump for_us
    iifname != ${ours} iifname != "lo" tcp dport { ${ports.http}, ${ports.tls}, ${ports.proxy}, ${ports.dns} } drop
    iifname != ${ours} iifname != "lo" udp dport ${ports.dns} drop
  }
  chain for_us {
    ct status dnat accept
    ct direction reply ct state established accept
    drop
  }
  chain passing {
    type filter hook forward priority filter; policy accept;
    iifname ${ours} drop
    oifname ${ours} drop
  }
  chain leaving {
    type filter hook output priority filter; policy accept;
    oifname ${ours} ct state new meta skuid != 0 drop
    oifname ${ours} meta nfproto != ipv4 drop
    oifname ${ours} meta l4proto != { tcp, udp } drop
  }
}
`
}

async function nft(script: string): Promise<void> {
  const result = await command('nft', ['-f', '-'], script)
  if (result.code !== 0) throw new Error(`nft: ${result.stderr.trim().slice(0, 500)}`)
}

async function linkExists(name: string): Promise<boolean> {
  return access(`/sys/class/net/${name}`).then(
    () => true,
    () => false,
  )
}

/** Links as the last writer left them; empty when there is no table. */
export async function readNetworkTable(path: string): Promise<NetworkTable> {
  const text = await readIfThere(path)
  return text === undefined ? { links: [] } : NetworkTable.parse(JSON.parse(text))
}

function parseAddress(text: string): number {
  const parts = text.split('.').map(Number)
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part) || part < 0 || part > 255))
    throw new SlopboxError('invalid_request', `${text} is not an IPv4 address`)
  return parts.reduce((sum, part) => sum * 256 + part, 0)
}

const formatAddress = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
