import { setTimeout as sleep } from 'node:timers/promises'
import type { Isolation } from '../../contract/sandboxes.ts'
import type { Slopbox } from '../../sdk/index.ts'
import type { Cell } from './probe.ts'

const size = { cpus: 1, memoryMiB: 256, diskGiB: 1 }
/** Whatever happens to this process, its sandboxes are gone after this long. */
const lifetimeMs = 15 * 60_000

/** A fresh sandbox of the running installation, destroyed when disposed. */
export async function freshCell(client: Slopbox, isolation: Isolation): Promise<Cell & AsyncDisposable> {
  const { id } = await client.sandboxes.create({ template: 'base', isolation, size, timeoutMs: lifetimeMs })
  return {
    name: isolation,
    async run(command, { user, timeoutMs, signal }) {
      const {
        stdout,
        stderr,
        code,
        signal: ended,
      } = await client.sandboxes.run(id, command, { user, timeoutMs, cwd: '/' }, signal)
      return { stdout, stderr, code, signal: ended }
    },
    async look() {
      const { state, reason } = await client.sandboxes.get(id)
      return { running: state === 'running', reason }
    },
    async restart() {
      await client.sandboxes.start(id)
      while ((await client.sandboxes.get(id)).state !== 'running') await sleep(100)
    },
    async [Symbol.asyncDispose]() {
      await client.sandboxes.kill(id)
    },
  }
}
