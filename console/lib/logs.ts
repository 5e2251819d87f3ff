import { useEffect, useState } from 'react'
import { agentLogs } from '../../contract/agents.ts'
import type { LogLine } from '../../contract/sandboxes.ts'
import { stream } from '../../sdk/stream.ts'
import { client } from './api.ts'
import { tell, type Told } from './errors.ts'

export interface Logs {
  lines: readonly LogLine[]
  state: 'off' | 'opening' | 'open' | 'ended' | 'failed'
  problem: Told | null
}

/** Lines kept on the page; older ones fall off. */
const kept = 1_000

/** Follows the output of an agent's process while it is `on`; a new `attempt` opens it again. */
export function useLogs(agentId: string, on: boolean, attempt: number): Logs {
  const [logs, setLogs] = useState<Logs>({ lines: [], state: 'opening', problem: null })
  useEffect(() => {
    if (!on) return undefined
    const leave = new AbortController()
    let waiting: LogLine[] = []
    // Output comes in bursts: it is drawn once per frame, not once per line.
    const flush = (): void => {
      const lines = waiting
      waiting = []
      setLogs((now) => ({ ...now, state: 'open', lines: [...now.lines, ...lines].slice(-kept) }))
    }
    const follow = async (): Promise<void> => {
      setLogs({ lines: [], state: 'opening', problem: null })
      try {
        const query = { tail: 200, follow: 'true' as const }
        for await (const line of stream(client, agentLogs, { params: { id: agentId }, query, signal: leave.signal })) {
          waiting.push(line)
          if (waiting.length === 1) requestAnimationFrame(flush)
        }
        setLogs((now) => ({ ...now, state: 'ended' }))
      } catch (error) {
        if (!leave.signal.aborted) setLogs((now) => ({ ...now, state: 'failed', problem: tell(error) }))
      }
    }
    void follow()
    return () => leave.abort()
  }, [agentId, on, attempt])
  return on ? logs : { ...logs, state: 'off', problem: null }
}
