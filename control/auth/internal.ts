import { SlopboxError } from '../../contract/errors.ts'
import type { Authenticate } from '../../lib/mount.ts'
import { sameText } from './tokens.ts'

/** The processes that call `/internal/*`; each presents its own credential. */
export const internalCallers = ['host', 'egress', 'gateway', 'operator'] as const
export type InternalCaller = (typeof internalCallers)[number]
export type InternalTokens = Readonly<Record<InternalCaller, string>>

/** Lets only these processes call, by the bearer token in their credential file. */
export function internalOnly(tokens: InternalTokens, ...allowed: InternalCaller[]): Authenticate<InternalCaller> {
  return async ({ headers }) => {
    const given = /^Bearer (\S+)$/i.exec(headers.authorization ?? '')?.[1]
    if (given !== undefined) {
      const caller = allowed.find((name) => sameText(tokens[name], given))
      if (caller !== undefined) return caller
    }
    throw new SlopboxError('unauthenticated', 'this operation is for the other processes of this installation', {
      hint: null,
    })
  }
}
