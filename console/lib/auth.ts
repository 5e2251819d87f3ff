import { SlopboxError } from '../../contract/errors.ts'

// Email sign-in, sign-up and sign-out are the auth library's own endpoints (better-auth), not routes of the contract.

async function post(path: string, body: unknown): Promise<unknown> {
  let response: Response
  try {
    response = await fetch(`/api/auth/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify(body),
      credentials: 'same-origin',
    })
  } catch (cause) {
    throw new SlopboxError('unavailable', 'the server does not answer', { cause, hint: 'Check your connection.' })
  }
  const reply: unknown = await response.json().catch(() => null)
  if (response.ok) return reply
  throw refusal(response.status, reply)
}

/** The library answers `{code, message}`; people get what to do about it. */
function refusal(status: number, reply: unknown): SlopboxError {
  const { code = '', message = `status ${status}` } = (reply ?? {}) as { code?: string; message?: string }
  if (status === 429)
    return new SlopboxError('rate_limited', 'too many attempts', { hint: 'Wait a minute and try again.' })
  if (code === 'INVALID_EMAIL_OR_PASSWORD')
    return new SlopboxError('unauthenticated', 'email or password is wrong', { hint: null })
  if (code.startsWith('USER_ALREADY_EXISTS'))
    return new SlopboxError('conflict', 'there is an account with this email already', { hint: 'Sign in instead.' })
  return new SlopboxError(status >= 500 ? 'internal' : 'invalid_request', message, { hint: null })
}

export const signIn = (email: string, password: string): Promise<unknown> => post('sign-in/email', { email, password })
export const signUp = (name: string, email: string, password: string): Promise<unknown> =>
  post('sign-up/email', { name, email, password })
export const signOut = (): Promise<unknown> => post('sign-out', {})
export const changePassword = (currentPassword: string, newPassword: string): Promise<unknown> =>
  post('change-password', { currentPassword, newPassword, revokeOtherSessions: true })

/** Begins signing in at a provider and returns where to send the browser. */
export async function startSocialSignIn(provider: string, callbackPath: string): Promise<string> {
  const reply = await post('sign-in/social', { provider, callbackURL: new URL(callbackPath, location.origin).href })
  const url = (reply as { url?: unknown } | null)?.url
  if (typeof url !== 'string') throw new SlopboxError('upstream_failed', `${provider} gave no address to sign in at`)
  return url
}
