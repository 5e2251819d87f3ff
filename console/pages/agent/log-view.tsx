import { useLayoutEffect, useRef, useState } from 'react'
import type { Agent } from '../../../contract/agents.ts'
import { whyNot } from '../../../core/sandbox-state.ts'
import { useLogs } from '../../lib/logs.ts'
import { Badge } from '../../ui/badge.tsx'
import { Button } from '../../ui/button.tsx'
import { cn } from '../../ui/cn.ts'
import { Notice } from '../../ui/states.tsx'

const words = {
  off: 'Not running',
  opening: 'Connecting',
  open: 'Live',
  ended: 'Ended',
  failed: 'Disconnected',
} as const

const empty = {
  off: 'Output appears here while the agent runs.',
  opening: 'Waiting for output…',
  open: 'No output yet.',
  ended: 'No output.',
  failed: 'No output.',
} as const

export function LogView({ agent }: { agent: Agent }) {
  const [attempt, setAttempt] = useState(0)
  const on = agent.sandbox !== null && whyNot('reach', agent.sandbox.state) === undefined
  const logs = useLogs(agent.id, on, attempt)
  const box = useRef<HTMLDivElement>(null)
  // Follows the end only while the reader is there; scrolling up holds the view.
  const atEnd = useRef(true)
  useLayoutEffect(() => {
    if (atEnd.current) box.current?.scrollTo({ top: box.current.scrollHeight })
  }, [logs.lines])
  return (
    <div className="flex flex-col">
      <div className="flex items-center justify-between gap-3 border-b border-line px-4 py-2.5 sm:px-5">
        <span role="status">
          <Badge tone={logs.state === 'open' ? 'ok' : logs.state === 'failed' ? 'warn' : 'idle'} dot>
            {words[logs.state]}
          </Badge>
        </span>
        {(logs.state === 'ended' || logs.state === 'failed') && (
          <Button size="sm" icon="restart" onClick={() => setAttempt(attempt + 1)}>
            Connect again
          </Button>
        )}
      </div>
      {logs.problem !== null && (
        <div className="p-3">
          <Notice tone="warn" title={logs.problem.message}>
            {logs.problem.hint}
          </Notice>
        </div>
      )}
      <div
        ref={box}
        role="log"
        aria-label="Process output"
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reachable by keyboard
        tabIndex={0}
        onScroll={(event) => {
          const { scrollTop, clientHeight, scrollHeight } = event.currentTarget
          atEnd.current = scrollTop + clientHeight >= scrollHeight - 24
        }}
        className="h-80 overflow-auto rounded-b-xl px-4 py-3 font-mono text-xs leading-relaxed -outline-offset-2 sm:px-5"
      >
        {logs.lines.length === 0 ? (
          <p className="text-ink-3">{empty[logs.state]}</p>
        ) : (
          logs.lines.map((line, index) => (
            <div key={`${line.at}${index}`} className="flex gap-3">
              <time dateTime={line.at} className="shrink-0 text-ink-3 select-none max-sm:hidden">
                {line.at.slice(11, 19)}
              </time>
              <span
                className={cn(
                  'min-w-0 break-words whitespace-pre-wrap',
                  line.stream === 'stderr' && 'text-warn',
                  line.stream === 'system' && 'text-accent',
                )}
              >
                {line.text}
              </span>
            </div>
          ))
        )}
      </div>
    </div>
  )
}
