import { randomBytes, randomInt } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { writeAtomic } from '../files.ts'
import { OpsError } from '../say.ts'
import { chooseSubnet, machineRoutes } from './subnet.ts'

const Port = z.int().min(1).max(65535)

/** What makes this installation this one: kept in the data directory, read by every command. */
export const Installation = z.strictObject({
  version: z.literal(1),
  instance: z.string().regex(/^[0-9a-f]{4}$/),
  subnet: z.cidrv4(),
  port: Port,
  domain: z.string(),
  listen: z.array(z.string()),
  /** `address:port` of the forward proxy for machines elsewhere; null: off. */
  egressListen: z.string().nullable().default(null),
  /** Address and port of SSH, or `off`; null: not settled yet. */
  sshListen: z.string().nullable().default(null),
  egressPorts: z.strictObject({ http: Port, tls: Port, proxy: Port, dns: Port }),
  createdAt: z.iso.datetime(),
})
export type Installation = z.infer<typeof Installation>

/** The installation of a data directory, or null when there is none yet. */
export function readInstallation(file: string): Installation | null {
  if (!existsSync(file)) return null
  const parsed = Installation.safeParse(parse(readFileSync(file, 'utf8'), file))
  if (parsed.success) return parsed.data
  throw new OpsError(
    `${file} is not readable by this version:\n${z.prettifyError(parsed.error)}`,
    'Restore the file from a backup.',
  )
}

function parse(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new OpsError(`${file} is not JSON`, 'Restore the file from a backup.')
  }
}

export function writeInstallation(file: string, installation: Installation): void {
  writeAtomic(file, `${JSON.stringify(installation, null, 2)}\n`, 0o644)
}

/** A name for everything this installation makes on the machine, and a range for its sandboxes: both unused. */
export function newIdentity(runRoot = '/run/slopbox'): { instance: string; subnet: string } {
  const others = existsSync(runRoot) ? readdirSync(runRoot) : []
  let instance = randomBytes(2).toString('hex')
  while (others.includes(instance)) instance = randomBytes(2).toString('hex')
  return { instance, subnet: freeSubnet(runRoot, '') }
}

/** A range free of the machine's routes and of other installations that ran since the machine started. */
export function freeSubnet(runRoot: string, exceptInstance: string): string {
  const used = machineRoutes().map((route) => route.destination)
  return chooseSubnet([...used, ...claimedSubnets(runRoot, exceptInstance)], randomInt(127))
}

/** Ranges that installations on this machine said they use (`/run/slopbox/<instance>/subnet`). */
export function claimedSubnets(runRoot: string, exceptInstance: string): string[] {
  if (!existsSync(runRoot)) return []
  return readdirSync(runRoot)
    .filter((name) => name !== exceptInstance)
    .map((name) => join(runRoot, name, 'subnet'))
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file, 'utf8').trim())
}
