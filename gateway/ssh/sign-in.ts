import { createHash } from 'node:crypto'
import ssh2 from 'ssh2'
import type { AuthContext, Connection, PublicKeyAuthContext } from 'ssh2'
import { SlopboxError } from '../../contract/errors.ts'
import { AgentId, SandboxId } from '../../contract/ids.ts'
import { publicKeyTypes } from '../../core/ssh-key.ts'
import type { Authorize, Target } from '../authorize.ts'
import type { Grant } from '../grants.ts'

/**
 * What a client has come to: a grant, or the reason why what it named, and may reach, cannot be reached now. The reason is
 * told in the session, because a refused sign-in can only say no.
 */
export type Arrival = { grant: Grant } | { refusal: SlopboxError }

/** As OpenSSH's `MaxAuthTries`; a client offers each key of its agent in turn. */
const maxTries = 6
/** Requests without a signature cost nothing but are not endless. */
const maxRequests = 40

export interface SignInDeps {
  ask: Authorize
  gone: AbortSignal
  onArrival: (arrival: Arrival) => void
  /** Told when the client has had its tries. */
  onTooMany: () => void
}

/** Answers a client's attempts to sign in (RFC 4252 §7). Only public keys are taken. */
export function answerSignIn(client: Connection, deps: SignInDeps): void {
  let tries = 0
  let requests = 0
  client.on('authentication', (context) => {
    requests += 1
    if (requests > maxRequests) return deps.onTooMany()
    if (context.method !== 'publickey') return context.reject(['publickey'])
    const key = readKey(context)
    const target = targetOf(context.username)
    if (key === undefined || target === undefined) return refuse(context)
    // Control is asked once the signature holds: before that anybody could find out whose key opens what.
    if (context.signature === undefined) return context.accept()
    tries += 1
    if (tries > maxTries) return deps.onTooMany()
    if (!isSigned(context, key)) return refuse(context)
    const fingerprint = `SHA256:${createHash('sha256').update(context.key.data).digest('base64').replace(/=+$/, '')}`
    arrive(deps, fingerprint, target).then(
      (arrival) => {
        if (arrival === undefined) return refuse(context)
        deps.onArrival(arrival)
        context.accept()
      },
      () => refuse(context),
    )
  })
}

const refuse = (context: AuthContext): void => context.reject(['publickey'])

/** Undefined: this key opens nothing of that name. */
async function arrive(deps: SignInDeps, sshKey: string, target: Target): Promise<Arrival | undefined> {
  try {
    return { grant: await deps.ask({ sshKey }, target, deps.gone) }
  } catch (error) {
    if (!(error instanceof SlopboxError)) throw error
    if (error.code === 'not_found' || error.code === 'unauthenticated') return undefined
    return { refusal: error }
  }
}

function targetOf(username: string): Target | undefined {
  if (SandboxId.safeParse(username).success) return { kind: 'sandbox', sandboxId: username }
  if (AgentId.safeParse(username).success) return { kind: 'agent', agentId: username }
  return undefined
}

type ParsedKey = Exclude<ReturnType<typeof ssh2.utils.parseKey>, Error>

function readKey(context: PublicKeyAuthContext): ParsedKey | undefined {
  const { algo, data } = context.key
  if (!publicKeyTypes.includes(algo)) return undefined
  const key = ssh2.utils.parseKey(`${algo} ${data.toString('base64')}`)
  return key instanceof Error ? undefined : key
}

function isSigned(context: PublicKeyAuthContext, key: ParsedKey): boolean {
  const { blob, signature, hashAlgo } = context
  if (blob === undefined || signature === undefined) return false
  // invariant: RSA over SHA-1 (`ssh-rsa`, RFC 8332 §1) is no proof any more
  if (context.key.algo === 'ssh-rsa' && hashAlgo === undefined) return false
  return key.verify(blob, signature, hashAlgo)
}
