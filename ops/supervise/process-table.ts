import { existsSync, readFileSync } from 'node:fs'
import { z } from 'zod'
import { pause } from '../../lib/loop.ts'
import { writeAtomic } from '../files.ts'

/** What runs right now, for `status`, and for the start after a supervisor that was killed. */
const Table = z.object({
  processes: z.array(z.object({ name: z.string(), pid: z.int(), startTime: z.string(), restarts: z.int() })),
})
export type RunningProcess = z.infer<typeof Table>['processes'][number]

/** Start time in clock ticks since boot (proc(5), field 22): with the pid it names one process for ever. */
export function startTimeOf(pid: number): string | null {
  const file = `/proc/${pid}/stat`
  try {
    const text = readFileSync(file, 'utf8')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? null : (fields[19] ?? null)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ESRCH') return null
    throw error
  }
}

export function writeTable(file: string, processes: readonly RunningProcess[]): void {
  writeAtomic(file, `${JSON.stringify({ processes })}\n`, 0o644)
}

/** Those of the table that still live. */
export function livingProcesses(file: string): RunningProcess[] {
  if (!existsSync(file)) return []
  const table = Table.parse(JSON.parse(readFileSync(file, 'utf8')))
  return table.processes.filter((entry) => startTimeOf(entry.pid) === entry.startTime)
}

/** Waits for what a killed supervisor left (the kernel has signalled it already), and kills what stays longer. */
export async function clearLeftovers(file: string, patienceMs: number): Promise<void> {
  const limit = AbortSignal.timeout(patienceMs)
  while (livingProcesses(file).length > 0 && !limit.aborted) await pause(25, limit)
  for (const { pid } of livingProcesses(file)) process.kill(pid, 'SIGKILL')
}
