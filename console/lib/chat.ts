import { useEffect, useRef, useState } from 'react'
import { chatWithAgent, resetAgentSession, type ChatEvent } from '../../contract/agents.ts'
import { call } from '../../sdk/call.ts'
import { stream } from '../../sdk/stream.ts'
import { client } from './api.ts'
import { tell } from './errors.ts'

export interface Message {
  id: number
  from: 'you' | 'agent'
  text: string
  /** `failed`: `text` is what had come by then, `problem` says why no more did. */
  state: 'writing' | 'done' | 'failed' | 'cut'
  problem?: string
}

// The conversation itself lives with the agent; this is what this tab has seen of it, kept over a reload.
const storeKey = (agentId: string): string => `slopbox.chat.${agentId}`

function recall(agentId: string): Message[] {
  try {
    const kept = JSON.parse(sessionStorage.getItem(storeKey(agentId)) ?? '[]') as Message[]
    return kept.map((message) => (message.state === 'writing' ? { ...message, state: 'cut' as const } : message))
  } catch {
    return []
  }
}

export interface Chat {
  messages: readonly Message[]
  writing: boolean
  send: (text: string) => Promise<void>
  /** Stops listening to the answer. */
  cut: () => void
  /** Begins a new conversation; throws what the server says against it. */
  renew: () => Promise<void>
}

export function useChat(agentId: string): Chat {
  const [messages, setMessages] = useState<readonly Message[]>(() => recall(agentId))
  const leave = useRef<AbortController>(null)
  const writing = messages.at(-1)?.state === 'writing'

  useEffect(() => () => leave.current?.abort(), [])
  useEffect(() => {
    try {
      sessionStorage.setItem(storeKey(agentId), JSON.stringify(messages.slice(-100)))
    } catch {
      // Full or switched off: the conversation then lasts as long as the page.
    }
  }, [agentId, messages])

  const update = (change: Partial<Message>): void =>
    setMessages((all) => all.map((message, index) => (index === all.length - 1 ? { ...message, ...change } : message)))

  const send = async (text: string): Promise<void> => {
    const id = (messages.at(-1)?.id ?? 0) + 1
    setMessages([
      ...messages,
      { id, from: 'you', text, state: 'done' },
      { id: id + 1, from: 'agent', text: '', state: 'writing' },
    ])
    const controller = new AbortController()
    leave.current = controller
    let ended = false
    try {
      const given = { params: { id: agentId }, body: { message: text }, signal: controller.signal }
      for await (const event of stream(client, chatWithAgent, given)) {
        ended ||= event.type !== 'delta'
        update(changeOf(event))
      }
      if (!ended) update({ state: 'failed', problem: 'The answer broke off. Send it again.' })
    } catch (error) {
      const told = tell(error)
      if (controller.signal.aborted) update({ state: 'cut' })
      else update({ state: 'failed', problem: told.hint === null ? told.message : `${told.message}. ${told.hint}` })
    }
  }
  const renew = async (): Promise<void> => {
    await call(client, resetAgentSession, { params: { id: agentId }, body: {} })
    leave.current?.abort()
    setMessages([])
  }
  return { messages, writing, send, cut: () => leave.current?.abort(), renew }
}

function changeOf(event: ChatEvent): Partial<Message> {
  switch (event.type) {
    case 'delta':
      return { text: event.text }
    case 'final':
      return { text: event.text, state: 'done' }
    case 'error':
      return { state: 'failed', problem: event.message }
  }
}
