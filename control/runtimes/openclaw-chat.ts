import { z } from 'zod'
import type { ChatEvent } from '../../contract/agents.ts'
import { SlopboxError } from '../../contract/errors.ts'
import type { OpenclawSession } from './openclaw-rpc.ts'

/** An agent answers slowly when it works with tools, but something is heard of it more often than this. */
const silenceMs = 10 * 60_000

/** `chat` events of a run: `delta` and `final` carry the whole answer so far. */
const ChatPayload = z.object({
  runId: z.string(),
  state: z.string(),
  errorMessage: z.string().optional(),
  message: z.object({ content: z.union([z.string(), z.array(z.unknown())]) }).optional(),
})
const TextPart = z.object({ type: z.literal('text'), text: z.string() })

/** Says something in a session and gives the answer as it grows. Exactly one `final` or `error` ends it. */
export async function* chat(
  session: OpenclawSession,
  run: { sessionKey: string; message: string; runId: string },
): AsyncGenerator<ChatEvent> {
  await session.call('chat.send', {
    sessionKey: run.sessionKey,
    message: run.message,
    idempotencyKey: run.runId,
  })
  let last = ''
  const iterator = session.events()[Symbol.asyncIterator]()
  for (;;) {
    const next = await withinSilence(iterator.next())
    if (next.done === true) throw new SlopboxError('upstream_failed', "the agent's gateway ended the conversation")
    const payload = next.value.event === 'chat' ? ChatPayload.safeParse(next.value.payload) : undefined
    if (payload?.success !== true || payload.data.runId !== run.runId) continue
    const text = textOf(payload.data.message?.content ?? '')
    switch (payload.data.state) {
      case 'delta':
        last = text
        yield { type: 'delta', text }
        break
      case 'final':
        // Said while another answer was under way, a message may be taken into that one, or be lost with it.
        yield text === '' && last === ''
          ? { type: 'error', message: 'the agent ended this without an answer: say it again, or see its page' }
          : { type: 'final', text: text === '' ? last : text }
        return
      case 'error':
      case 'aborted':
        yield { type: 'error', message: payload.data.errorMessage ?? `the agent's answer was ${payload.data.state}` }
        return
    }
  }
}

async function withinSilence<T>(next: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => late.reject(new SlopboxError('timeout', `nothing was heard of the agent for ${silenceMs / 60_000} minutes`)),
    silenceMs,
  )
  try {
    return await Promise.race([next, late.promise])
  } finally {
    clearTimeout(timer)
  }
}

function textOf(content: string | readonly unknown[]): string {
  if (typeof content === 'string') return content
  return content
    .flatMap((part) => {
      const text = TextPart.safeParse(part)
      return text.success ? [text.data.text] : []
    })
    .join('')
}

/** Begins a new conversation under the same key. */
export async function resetSession(session: OpenclawSession, sessionKey: string): Promise<void> {
  await session.call('sessions.reset', { key: sessionKey })
}
