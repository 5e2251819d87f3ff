import { join } from 'node:path'
import { currentHolder, waitForRelease } from '../lock.ts'
import { dataDirectory } from '../paths.ts'
import { OpsError, sayOnStderr } from '../say.ts'
import { readFlags } from '../up/settings.ts'

export const downUsage = 'slopbox down [--data DIR]'
const patienceSeconds = 60

/** `slopbox down`: stops the processes in order. Sandboxes keep running and are found again by the next `up`. */
export async function down(args: readonly string[]): Promise<number> {
  const flags = readFlags(args, { data: { type: 'string' } }, downUsage)
  const say = sayOnStderr()
  const data = dataDirectory(flags.data)
  const file = join(data, 'up.lock')
  const holder = currentHolder(file)
  if (holder === null) {
    say(`nothing runs on ${data}`)
    return 0
  }
  process.kill(holder.pid, 'SIGTERM')
  if (!waitForRelease(file, patienceSeconds)) {
    throw new OpsError(
      `pid ${holder.pid} did not stop within ${patienceSeconds} s`,
      `Look at ${join(data, 'logs', 'up.log')}; \`kill -9 ${holder.pid}\` ends it, and the next start repairs.`,
    )
  }
  say('stopped')
  return 0
}
