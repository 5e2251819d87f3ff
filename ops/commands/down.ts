import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { currentHolder, waitForRelease } from '../lock.ts'
import { dataDirectory, placesOf } from '../paths.ts'
import { OpsError, sayOnStderr } from '../say.ts'
import { readInstallation } from '../setup/installation.ts'
import { clearLeftovers } from '../supervise/process-table.ts'
import { wipe } from '../teardown.ts'
import { readFlags } from '../up/settings.ts'

export const downUsage = 'slopbox down [--data DIR] [--wipe]'
const patienceSeconds = 60

/**
 * `slopbox down`: stops the processes in order. Sandboxes keep running and are found again by the next `up`; with
 * `--wipe` they end and everything is removed, data included.
 */
export async function down(args: readonly string[]): Promise<number> {
  const flags = readFlags(args, { data: { type: 'string' }, wipe: { type: 'boolean' } }, downUsage)
  const say = sayOnStderr()
  const data = dataDirectory(flags.data)
  const file = join(data, 'up.lock')
  const holder = currentHolder(file)
  if (holder === null) say(`nothing runs on ${data}`)
  else stop(holder.pid, file, data)
  if (holder !== null) say('stopped')
  if (flags.wipe === true) await remove(data, say)
  return 0
}

function stop(pid: number, lockFile: string, data: string): void {
  process.kill(pid, 'SIGTERM')
  if (waitForRelease(lockFile, patienceSeconds)) return
  throw new OpsError(
    `pid ${pid} did not stop within ${patienceSeconds} s`,
    `Look at ${join(data, 'logs', 'up.log')}; \`kill -9 ${pid}\` ends it, and the next start repairs.`,
  )
}

async function remove(data: string, say: (message: string) => void): Promise<void> {
  if (!existsSync(data)) return
  const installation = readInstallation(join(data, 'installation.json'))
  if (installation === null) throw new OpsError(`${data} is not a data directory of Slopbox`, 'Nothing was removed.')
  const places = placesOf(data, installation.instance)
  await clearLeftovers(join(places.run, 'processes.json'), 10_000)
  await wipe(places, installation.instance)
  say(`removed ${data} and all that was made from it`)
}
