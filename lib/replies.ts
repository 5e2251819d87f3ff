import { createHash } from 'node:crypto'
import { SlopboxError } from '../contract/errors.ts'
import type { Route } from '../contract/route.ts'

/** Remembers replies to writes that carry `Idempotency-Key`. All of it is per caller. */
export interface ReplyStore<C> {
  /** Claims the key; `requestHash` tells a repeat from another request under the same key. */
  begin(caller: C, key: string, requestHash: string): Promise<Claim>
  finish(caller: C, key: string, status: number, reply: unknown): Promise<void>
  /** Gives the key back after a failure, so that the caller may try again. */
  release(caller: C, key: string): Promise<void>
}
export type Claim = { is: 'new' | 'busy' | 'other' } | { is: 'done'; status: number; reply: unknown }

/** Runs a write once per caller and key; a repeat gets the first reply again. */
export async function once<C>(
  replies: ReplyStore<C>,
  input: { caller: C; params: unknown; query: unknown; body: unknown },
  route: Route,
  key: string,
  run: () => Promise<unknown>,
): Promise<{ status: number; value: unknown }> {
  if (!/^[\x21-\x7e]{1,200}$/.test(key))
    throw new SlopboxError('invalid_request', 'Idempotency-Key must be 1 to 200 visible ASCII characters')
  const hash = createHash('sha256')
    .update(JSON.stringify([route.id, input.params, input.query, input.body]))
    .digest('hex')
  const claim = await replies.begin(input.caller, key, hash)
  if (claim.is === 'done') return { status: claim.status, value: claim.reply }
  if (claim.is === 'busy')
    throw new SlopboxError('conflict', 'the first request with this Idempotency-Key is still under way', {
      hint: 'Wait for its answer and repeat.',
    })
  if (claim.is === 'other')
    throw new SlopboxError('conflict', 'this Idempotency-Key was used for another request', {
      hint: 'Choose a new key.',
    })
  try {
    const value = await run()
    await replies.finish(input.caller, key, route.status, value)
    return { status: route.status, value }
  } catch (error) {
    await replies.release(input.caller, key)
    throw error
  }
}
