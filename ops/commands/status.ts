import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SlopboxError } from '../../contract/errors.ts'
import { Slopbox } from '../../sdk/index.ts'
import { currentHolder } from '../lock.ts'
import { dataDirectory, placesOf } from '../paths.ts'
import { readInstallation } from '../setup/installation.ts'
import { livingProcesses } from '../supervise/process-table.ts'
import { readOperator } from '../up/operator.ts'
import { readFlags } from '../up/settings.ts'
import { apiUrl, domainWithPort, publicUrl } from '../up/where.ts'

export const statusUsage = 'slopbox status [--data DIR] [--json]'

interface ProcessStatus {
  name: string
  pid: number
  restarts: number
  /** Proportional share, so that the sum is what the machine really gives; null when it cannot be read. */
  memoryMiB: number | null
}

interface Status {
  running: boolean
  dataDir: string
  url: string | null
  apiUrl: string | null
  domain: string | null
  /** Where the forward proxy for machines elsewhere listens; null: it is off. */
  egressListen: string | null
  /** Address and port of SSH; null: off. */
  sshListen: string | null
  processes: ProcessStatus[]
  memoryMiB: number | null
  templates: { name: string; state: string; reason: string | null }[]
  agents: Record<string, number>
  /** Why the API could not be asked; null when it answered. */
  apiProblem: string | null
}

/** `slopbox status`: what runs, how big it is, what it serves. Exit status 0 when it runs, 3 when it does not. */
export async function status(args: readonly string[]): Promise<number> {
  const flags = readFlags(args, { data: { type: 'string' }, json: { type: 'boolean' } }, statusUsage)
  const found = await readStatus(dataDirectory(flags.data))
  process.stdout.write(flags.json === true ? `${JSON.stringify(found)}\n` : printed(found))
  return found.running ? 0 : 3
}

async function readStatus(data: string): Promise<Status> {
  const installation = readInstallation(join(data, 'installation.json'))
  const holder = currentHolder(join(data, 'up.lock'))
  const idle: Status = {
    running: false,
    dataDir: data,
    url: null,
    apiUrl: null,
    domain: null,
    egressListen: null,
    sshListen: null,
    processes: [],
    memoryMiB: null,
    templates: [],
    agents: {},
    apiProblem: null,
  }
  if (installation === null || holder === null) return idle
  const places = placesOf(data, installation.instance)
  const listed = livingProcesses(join(places.run, 'processes.json'))
  const supervisor = { name: 'supervisor', pid: holder.pid, restarts: 0 }
  const processes = [supervisor, ...listed].map(({ name, pid, restarts }) => ({
    name,
    pid,
    restarts,
    memoryMiB: familyMemory(pid, name === 'database'),
  }))
  const sum = processes.reduce((total, entry) => total + (entry.memoryMiB ?? 0), 0)
  return {
    ...idle,
    running: true,
    url: publicUrl(installation),
    apiUrl: apiUrl(installation),
    domain: domainWithPort(installation),
    egressListen: installation.egressListen,
    sshListen: installation.sshListen === 'off' ? null : installation.sshListen,
    processes,
    memoryMiB: Math.round(sum),
    ...(await askApi(apiUrl(installation), places.operator)),
  }
}

async function askApi(url: string, operatorFile: string): Promise<Pick<Status, 'templates' | 'agents' | 'apiProblem'>> {
  try {
    const operator = readOperator(operatorFile)
    if (operator === null) return { templates: [], agents: {}, apiProblem: 'there is no operator yet' }
    const client = new Slopbox({ url, apiKey: operator.apiKey })
    const templates = (await client.templates.list()).items.map(({ name, state, reason }) => ({ name, state, reason }))
    const agents: Record<string, number> = {}
    for await (const agent of client.agents.all()) agents[agent.state] = (agents[agent.state] ?? 0) + 1
    return { templates, agents, apiProblem: null }
  } catch (error) {
    const told = error instanceof SlopboxError || (error as NodeJS.ErrnoException).code === 'EACCES'
    if (!told) throw error
    return { templates: [], agents: {}, apiProblem: (error as Error).message }
  }
}

/** Memory of a process, of the database with all its workers. Reading other users' needs root. */
function familyMemory(pid: number, withChildren: boolean): number | null {
  const own = proportionalMiB(pid)
  if (own === null || !withChildren) return own
  const file = `/proc/${pid}/task/${pid}/children`
  const children = existsSync(file) ? readFileSync(file, 'utf8').trim().split(' ').filter(Boolean).map(Number) : []
  return children.reduce((sum, child) => sum + (proportionalMiB(child) ?? 0), own)
}

function proportionalMiB(pid: number): number | null {
  try {
    const match = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))
    return match === null ? null : Math.round((Number(match[1]) / 1024) * 10) / 10
  } catch {
    // Gone in the meantime, or not ours to read: the memory stays unknown.
    return null
  }
}

function printed(found: Status): string {
  if (!found.running) return `not running (${found.dataDir})\n`
  const rows = found.processes.map(({ name, pid, memoryMiB, restarts }) => {
    const memory = memoryMiB === null ? '' : `${memoryMiB.toFixed(1)} MiB`
    return `  ${name.padEnd(11)}${String(pid).padStart(8)}${memory.padStart(12)}${restarts > 0 ? `   restarted ${restarts}×` : ''}`
  })
  const templates = found.templates.map(
    (entry) => `  ${entry.name.padEnd(19)}${entry.state}${entry.reason === null ? '' : `: ${entry.reason}`}`,
  )
  const agents = Object.entries(found.agents).map(([state, count]) => `${count} ${state}`)
  return `${[
    `running   ${found.url}   API ${found.apiUrl}`,
    ...(found.sshListen === null ? [] : [`ssh       ${found.sshListen}   (ssh -p PORT SANDBOX@HOST)`]),
    ...(found.egressListen === null ? [] : [`proxy     ${found.egressListen}   (for machines elsewhere)`]),
    `data      ${found.dataDir}`,
    'processes',
    ...rows,
    `  ${'together'.padEnd(19)}${`${found.memoryMiB} MiB`.padStart(12)}`,
    ...(found.apiProblem === null ? [] : [`API       ${found.apiProblem}`]),
    'templates',
    ...templates,
    `agents    ${agents.length === 0 ? 'none' : agents.join(', ')}`,
  ].join('\n')}\n`
}
