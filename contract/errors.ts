/** Every way a Slopbox request can fail on purpose. Adding a code here is an API change; `docs/errors.md` lists each. */
export const errorCodes = {
  invalid_request: { status: 400, hint: 'Check the fields named in the message.' },
  unauthenticated: { status: 401, hint: 'Sign in, or pass an API key: `slopbox login`.' },
  budget_exceeded: { status: 402, hint: 'Raise the overage budget, or wait for the next usage period.' },
  forbidden: { status: 403, hint: 'Ask an operator, or use a key with this scope.' },
  egress_denied: { status: 403, hint: 'Ask for the host to be added to the allowlist.' },
  not_found: { status: 404, hint: null },
  conflict: { status: 409, hint: 'Read the resource again and retry.' },
  wrong_state: { status: 409, hint: null },
  too_large: { status: 413, hint: 'Send less in one request.' },
  rate_limited: { status: 429, hint: 'Wait for the seconds in `Retry-After`.' },
  internal: { status: 500, hint: 'Search the server log for the request id: `slopbox logs`.' },
  upstream_failed: { status: 502, hint: 'Check that the other side is up and reachable.' },
  no_capacity: { status: 503, hint: 'Stop something, choose a smaller size, or add a host.' },
  unavailable: { status: 503, hint: 'Wait a moment and retry; `slopbox status` tells what is down.' },
  timeout: { status: 504, hint: 'Retry; if it repeats, look at the reason on the resource.' },
} as const satisfies Record<string, { status: number; hint: string | null }>

export type ErrorCode = keyof typeof errorCodes

export interface WireError {
  error: { code: ErrorCode; message: string; hint: string | null; requestId: string | null }
}

/** A failure the caller can act on. Anything else that is thrown is a bug and reads as `internal`. */
export class SlopboxError extends Error {
  override name = 'SlopboxError'
  readonly code: ErrorCode
  readonly hint: string | null
  /** The id under which the server logged the failure; null before it reached one. */
  readonly requestId: string | null
  constructor(
    code: ErrorCode,
    message: string,
    options: { hint?: string | null; cause?: unknown; requestId?: string | null } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.hint = options.hint === undefined ? errorCodes[code].hint : options.hint
    this.requestId = options.requestId ?? null
  }

  get status(): number {
    return errorCodes[this.code].status
  }

  toWire(requestId: string | null = this.requestId): WireError {
    return { error: { code: this.code, message: this.message, hint: this.hint, requestId } }
  }
}

/** The server's own error back from the wire; undefined when the value is not one of ours. */
export function errorFromWire(value: unknown): SlopboxError | undefined {
  if (typeof value !== 'object' || value === null || !('error' in value)) return undefined
  const wire = value.error
  if (typeof wire !== 'object' || wire === null || !('code' in wire) || !('message' in wire)) return undefined
  const { code, message } = wire
  if (typeof code !== 'string' || typeof message !== 'string' || !Object.hasOwn(errorCodes, code)) return undefined
  const hint = 'hint' in wire && typeof wire.hint === 'string' ? wire.hint : null
  const requestId = 'requestId' in wire && typeof wire.requestId === 'string' ? wire.requestId : null
  return new SlopboxError(code as ErrorCode, message, { hint, requestId })
}
