import { hostname } from 'node:os'
import { type Installation, freeSubnet, newIdentity } from '../setup/installation.ts'
import { freeOnAll, holderOf, isFree, pickFree } from '../setup/ports.ts'
import { machineRoutes, overlaps } from '../setup/subnet.ts'
import { OpsError, type Say } from '../say.ts'
import type { UpSettings } from './settings.ts'

const defaultPort = 8480
const defaultSshListen = '127.0.0.1:2222'
/** Every name under it is this machine for browsers, curl and resolvers alike (RFC 6761 §6.3). */
const defaultDomain = 'slopbox.localhost'
/** Egress listens on every address, since each sandbox reaches it through its own link. */
const everywhere = ['0.0.0.0']

/** Where this start listens: what was used before as far as it is still free, or what the operator asks for. */
export async function settleInstallation(
  before: Installation | null,
  settings: UpSettings,
  now: Date,
  say: Say,
): Promise<Installation> {
  const listen = settings.listen ?? before?.listen ?? (await loopbackAddresses())
  const port = await settlePort(before, settings, listen, say)
  const egressListen = await settleEgressListen(before, settings, port)
  const sshListen = await settleSshListen(before, settings, port, say)
  const identity = before === null ? newIdentity() : { instance: before.instance, subnet: settleSubnet(before, say) }
  return {
    version: 1,
    ...identity,
    port,
    listen,
    domain: settings.domain ?? before?.domain ?? defaultDomain,
    egressListen,
    sshListen,
    egressPorts: await settleEgressPorts(before, [
      port,
      ...[egressListen, sshListen].flatMap((listens) =>
        listens === null || listens === 'off' ? [] : [portOf(listens)],
      ),
    ]),
    createdAt: before?.createdAt ?? now.toISOString(),
  }
}

async function loopbackAddresses(): Promise<string[]> {
  return (await isFree(0, '::1')) ? ['127.0.0.1', '::1'] : ['127.0.0.1']
}

async function settlePort(
  before: Installation | null,
  settings: UpSettings,
  listen: readonly string[],
  say: Say,
): Promise<number> {
  if (settings.port !== null && settings.port !== 0) {
    if (await freeOnAll(settings.port, listen)) return settings.port
    const holder = holderOf(settings.port)
    throw new OpsError(
      `port ${settings.port} is taken${holder === null ? '' : ` by ${holder}`}`,
      'Stop that program, or choose another port with --port (0 picks a free one).',
    )
  }
  const usual = before?.port ?? (settings.port === 0 ? null : defaultPort)
  if (usual !== null && (await freeOnAll(usual, listen))) return usual
  const port = await pickFree(listen, new Set())
  if (usual !== null) {
    const holder = holderOf(usual)
    say(`port ${usual} is taken${holder === null ? '' : ` by ${holder}`}; using ${port} from now on`)
  }
  return port
}

export const portOf = (listen: string): number => Number(listen.slice(listen.lastIndexOf(':') + 1))
const addressOf = (listen: string): string => listen.slice(0, listen.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1')

/** Machines elsewhere are told this address, so another one is never chosen for it. */
async function settleEgressListen(
  before: Installation | null,
  settings: UpSettings,
  consolePort: number,
): Promise<string | null> {
  const wanted = settings.egressListen ?? before?.egressListen ?? null
  if (wanted === null || wanted === 'off') {
    if (settings.egressUrl === null) return null
    throw new OpsError(
      'SLOPBOX_EGRESS_CENTRAL_URL is set, but the proxy is off',
      'Turn it on with --egress-listen ADDRESS:PORT.',
    )
  }
  const [address, port] = [addressOf(wanted), portOf(wanted)]
  const hint = 'Choose another with --egress-listen ADDRESS:PORT, or `--egress-listen off`.'
  if (!(await isFree(0, address))) throw new OpsError(`${address} is not an address of this machine`, hint)
  if (port === consolePort) throw new OpsError(`port ${port} of --egress-listen is the console's own`, hint)
  if (await isFree(port, address)) return wanted
  const holder = holderOf(port)
  throw new OpsError(`${wanted} for --egress-listen is taken${holder === null ? '' : ` by ${holder}`}`, hint)
}

/** The address asked for or it fails; else the one used before, at first port 2222 of loopback, or a free port there. */
async function settleSshListen(
  before: Installation | null,
  settings: UpSettings,
  consolePort: number,
  say: Say,
): Promise<string> {
  if (settings.sshListen === 'off') return 'off'
  const isOpen = async (listens: string): Promise<boolean> =>
    portOf(listens) !== consolePort && (await isFree(portOf(listens), addressOf(listens)))
  if (settings.sshListen !== null) {
    if (await isOpen(settings.sshListen)) return settings.sshListen
    const holder = holderOf(portOf(settings.sshListen))
    throw new OpsError(
      `cannot listen on ${settings.sshListen} for --ssh-listen${holder === null ? '' : `: taken by ${holder}`}`,
      'Choose another with --ssh-listen ADDRESS:PORT, or `--ssh-listen off`.',
    )
  }
  const usual = before?.sshListen ?? (settings.port === 0 ? null : defaultSshListen)
  if (usual === 'off' || (usual !== null && (await isOpen(usual)))) return usual
  const address = usual === null ? '127.0.0.1' : addressOf(usual)
  const port = await pickFree([address], new Set([consolePort]))
  const chosen = `${address.includes(':') ? `[${address}]` : address}:${port}`
  if (usual !== null) say(`${usual} is taken; SSH listens on ${chosen} from now on`)
  return chosen
}

async function settleEgressPorts(
  before: Installation | null,
  others: readonly number[],
): Promise<Installation['egressPorts']> {
  const taken = new Set(others)
  const settle = async (usual: number | undefined): Promise<number> => {
    const kept = usual !== undefined && !taken.has(usual) && (await freeOnAll(usual, everywhere))
    const chosen = kept ? usual : await pickFree(everywhere, taken)
    taken.add(chosen)
    return chosen
  }
  const ports = before?.egressPorts
  return {
    http: await settle(ports?.http),
    tls: await settle(ports?.tls),
    proxy: await settle(ports?.proxy),
    dns: await settle(ports?.dns),
  }
}

/** The range stays, unless the machine meanwhile routes it elsewhere (a new VPN, say) and no sandbox of ours is on it. */
function settleSubnet(before: Installation, say: Say): string {
  const clashes = machineRoutes().filter((route) => overlaps(route.destination, before.subnet))
  const ours = clashes.filter((route) => route.device.includes(before.instance))
  const foreign = clashes.find((route) => !route.device.includes(before.instance) && route.device !== 'lo')
  if (foreign === undefined || ours.length > 0) return before.subnet
  const subnet = freeSubnet('/run/slopbox', before.instance)
  say(`${before.subnet} is now routed through ${foreign.device}; sandboxes use ${subnet} from now on`)
  return subnet
}

/** The public name with the port where a browser needs it. */
export function domainWithPort(installation: Installation): string {
  const usual = installation.port === 80 || installation.port === 443
  return usual ? installation.domain : `${installation.domain}:${installation.port}`
}

export function publicUrl(installation: Installation): string {
  return `${installation.port === 443 ? 'https' : 'http'}://${domainWithPort(installation)}`
}

/** Where machines elsewhere reach the forward proxy; null: it is off. Listening everywhere, it goes by the best name. */
export function proxyUrl(
  { egressListen, domain }: Installation,
  { egressUrl }: Pick<UpSettings, 'egressUrl'>,
): string | null {
  if (egressListen === null) return null
  if (egressUrl !== null) return egressUrl
  const everyAddress = ['0.0.0.0', '::'].includes(addressOf(egressListen))
  const isLocal = domain === 'localhost' || domain.endsWith('.localhost')
  if (!everyAddress) return `http://${egressListen}`
  return `http://${isLocal ? hostname() : domain}:${portOf(egressListen)}`
}

/** The API by address, for programs on this machine that cannot resolve the name. */
export function apiUrl(installation: Installation): string {
  const address = installation.listen.find((entry) => !entry.includes(':')) ?? installation.listen[0] ?? '127.0.0.1'
  const host = address === '0.0.0.0' ? '127.0.0.1' : address.includes(':') ? `[${address}]` : address
  return `http://${host}:${installation.port}`
}

/** How to reach a sandbox by SSH; null when it is off. `NAME` is the id of a sandbox or an agent. */
export function sshCommand(installation: Installation): string | null {
  const { sshListen, domain } = installation
  return sshListen === null || sshListen === 'off' ? null : `ssh -p ${portOf(sshListen)} NAME@${domain}`
}
