import { useEffect, useRef, useState, type KeyboardEvent } from 'react'
import type { Agent } from '../../../contract/agents.ts'
import { agentWhyNot } from '../../lib/agent-actions.ts'
import { useChat, type Message } from '../../lib/chat.ts'
import { showDone, showError } from '../../lib/notify.ts'
import { isTransitional } from '../../lib/states.ts'
import { Button } from '../../ui/button.tsx'
import { Card } from '../../ui/card.tsx'
import { cn } from '../../ui/cn.ts'
import { Icon } from '../../ui/icons.tsx'
import { Markdown } from '../../ui/markdown.tsx'
import { Empty } from '../../ui/states.tsx'
import { AgentAvatar } from '../agent-avatar.tsx'
import { Provisioning } from './provisioning.tsx'

export function ChatTab({ agent }: { agent: Agent }) {
  const why = agentWhyNot('reach', agent)
  if (isTransitional(agent.state) && agent.state !== 'stopping' && agent.state !== 'destroying')
    return <Provisioning agent={agent} />
  if (why !== undefined)
    return (
      <Card>
        <Empty icon="chat" title={`${agent.name} cannot be talked to now`} help={why} />
      </Card>
    )
  return <Conversation agent={agent} />
}

function Conversation({ agent }: { agent: Agent }) {
  const chat = useChat(agent.id)
  const end = useRef<HTMLDivElement>(null)
  const [renewing, setRenewing] = useState(false)
  const last = chat.messages.at(-1)
  useEffect(() => {
    end.current?.scrollIntoView({ block: 'end' })
  }, [last?.id, last?.text.length])

  const renew = async (): Promise<void> => {
    setRenewing(true)
    try {
      await chat.renew()
      showDone('A new conversation begins', 'The old one is kept by the agent.')
    } catch (error) {
      showError(error, 'No new conversation')
    } finally {
      setRenewing(false)
    }
  }
  return (
    <Card className="flex h-[calc(100dvh-17rem)] min-h-96 flex-col max-sm:h-[calc(100dvh-19rem)]">
      <div className="flex items-center justify-between gap-3 border-b border-line px-4 py-2.5">
        <p className="truncate text-ink-2">
          Conversation <span className="font-medium text-ink">main</span>
        </p>
        <Button size="sm" icon="plus" busy={renewing} onClick={() => void renew()}>
          New session
        </Button>
      </div>
      <div className="flex-1 overflow-y-auto overscroll-contain px-4 py-5 sm:px-6">
        {chat.messages.length === 0 ? (
          <div className="grid h-full place-items-center">
            <div className="flex flex-col items-center gap-3 text-center">
              <AgentAvatar agent={agent} large />
              <div className="flex flex-col gap-0.5">
                <p className="font-medium">{agent.name} is listening</p>
                <p className="text-ink-2">Ask for something, or tell it who you are.</p>
              </div>
            </div>
          </div>
        ) : (
          <ol aria-label="Messages" aria-live="polite" aria-busy={chat.writing} className="flex flex-col gap-5">
            {chat.messages.map((message) => (
              <MessageView key={message.id} agent={agent} message={message} />
            ))}
          </ol>
        )}
        <div ref={end} />
      </div>
      <Composer name={agent.name} writing={chat.writing} onSend={(text) => void chat.send(text)} onCut={chat.cut} />
    </Card>
  )
}

function MessageView({ agent, message }: { agent: Agent; message: Message }) {
  if (message.from === 'you')
    return (
      <li className="flex flex-col items-end">
        <span className="sr-only">You:</span>
        <p className="max-w-[85%] rounded-2xl rounded-br-md bg-solid px-3.5 py-2 break-words whitespace-pre-wrap text-on-solid">
          {message.text}
        </p>
      </li>
    )
  return (
    <li className="flex max-w-full gap-3">
      <div className="max-sm:hidden">
        <AgentAvatar agent={agent} />
      </div>
      <div className="flex min-w-0 flex-1 flex-col gap-1.5 pt-0.5">
        <span className="text-xs font-medium text-ink-3">{agent.name}</span>
        {message.text !== '' && <Markdown text={message.text} />}
        {message.state === 'writing' && (
          <span role="status" className="flex items-center gap-1 py-1 text-ink-3">
            <span className="sr-only">{agent.name} is writing</span>
            {[0, 1, 2].map((dot) => (
              <span
                key={dot}
                className="size-1.5 animate-breathe rounded-full bg-ink-3"
                style={{ animationDelay: `${dot * 180}ms` }}
              />
            ))}
          </span>
        )}
        {message.state === 'cut' && <p className="text-xs text-ink-3">You stopped listening here.</p>}
        {message.state === 'failed' && (
          <p role="alert" className="flex items-start gap-1.5 text-bad">
            <Icon name="alert" className="mt-0.5 size-4" />
            {message.problem}
          </p>
        )}
      </div>
    </li>
  )
}

function Composer(props: { name: string; writing: boolean; onSend: (text: string) => void; onCut: () => void }) {
  const [text, setText] = useState('')
  const send = (): void => {
    if (text.trim() === '' || props.writing) return
    props.onSend(text.trim())
    setText('')
  }
  const keys = (event: KeyboardEvent): void => {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return
    event.preventDefault()
    send()
  }
  return (
    <form
      className="border-t border-line p-3"
      onSubmit={(event) => {
        event.preventDefault()
        send()
      }}
    >
      <div
        className={cn(
          'flex items-end gap-2 rounded-xl border border-line-strong bg-surface p-1.5 pl-3.5',
          'focus-within:outline-2 focus-within:outline-offset-2 focus-within:outline-accent',
        )}
      >
        <textarea
          aria-label="Message"
          rows={1}
          placeholder={`Message ${props.name}`}
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={keys}
          className="field-sizing-content max-h-48 min-h-8 flex-1 resize-none bg-transparent py-1.5 outline-none placeholder:text-ink-3"
        />
        {props.writing ? (
          <Button size="icon" icon="stop" aria-label="Stop listening" onClick={props.onCut} />
        ) : (
          <Button
            size="icon"
            variant="primary"
            icon="send"
            type="submit"
            aria-label="Send"
            {...(text.trim() === '' ? { 'aria-disabled': true } : {})}
          />
        )}
      </div>
    </form>
  )
}
