import type { ServerResponse } from 'node:http'
import { SlopboxError } from '../contract/errors.ts'
import { describeFailure } from '../lib/faults.ts'
import type { Log } from '../lib/log.ts'

const securityHeaders = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
  'cache-control': 'no-store',
}

export interface ErrorContext {
  requestId: string | null
  html: boolean
  log: Log
  /** Where the page's button leads, and what it says. */
  action?: { href: string; label: string }
}

/** Answers with the error, as a page for people or as `WireError` for programs. Cuts the connection when an answer has begun. */
export function sendError(response: ServerResponse, error: unknown, context: ErrorContext): void {
  const known = asKnown(error, context)
  if (response.headersSent) return void response.destroy()
  const body = context.html ? errorPage(known, context) : JSON.stringify(known.toWire(context.requestId))
  response.writeHead(known.status, {
    ...securityHeaders,
    'content-type': context.html ? 'text/html; charset=utf-8' : 'application/json',
    'content-length': Buffer.byteLength(body),
    ...(context.requestId === null ? {} : { 'x-request-id': context.requestId }),
    ...(known instanceof RateLimited ? { 'retry-after': String(known.retryAfterS) } : {}),
    // What is left of a refused body is not read.
    connection: 'close',
  })
  response.end(response.req.method === 'HEAD' ? undefined : body)
}

/** The failure as one of ours; anything else is a bug, logged with its cause and shown without detail. */
export function asKnown(error: unknown, context: { requestId: string | null; log: Log }): SlopboxError {
  if (error instanceof SlopboxError) return error
  context.log.error({ requestId: context.requestId, failure: describeFailure(error) }, 'request failed')
  return new SlopboxError('internal', 'the gateway could not answer')
}

export class RateLimited extends SlopboxError {
  readonly retryAfterS: number
  constructor(message: string, waitMs: number) {
    super('rate_limited', message)
    this.retryAfterS = Math.max(1, Math.ceil(waitMs / 1000))
  }
}

const titles: Partial<Record<SlopboxError['code'], string>> = {
  not_found: 'Nothing here',
  unauthenticated: 'Please sign in',
  wrong_state: 'Not running',
  unavailable: 'One moment',
  rate_limited: 'Too many requests',
  upstream_failed: 'No answer',
  forbidden: 'Not allowed',
  invalid_request: 'Bad request',
}

function errorPage(error: SlopboxError, context: ErrorContext): string {
  return page({
    title: titles[error.code] ?? 'Something went wrong',
    text: sentence(error.message),
    hint: error.hint,
    foot: `${error.status} ${error.code}${context.requestId === null ? '' : ` · ${context.requestId}`}`,
    ...(context.action === undefined ? {} : { action: context.action }),
  })
}

export interface Page {
  title: string
  text: string
  hint: string | null
  foot: string
  action?: { href: string; label: string }
}

/** A self-contained page; every text is escaped here. */
export function page(content: Page): string {
  const button =
    content.action === undefined
      ? ''
      : `<a class="button" href="${escape(content.action.href)}">${escape(content.action.label)}</a>`
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escape(content.title)} · Slopbox</title><style>
:root{color-scheme:light dark;--ink:#18181b;--soft:#71717a;--paper:#fafafa;--card:#fff;--line:#e4e4e7}
@media(prefers-color-scheme:dark){:root{--ink:#f4f4f5;--soft:#a1a1aa;--paper:#09090b;--card:#18181b;--line:#27272a}}
body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif}
main{max-width:26rem;margin:1rem;padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:12px}
h1{font-size:1.25rem;margin:0 0 .5rem}p{margin:0 0 .75rem;overflow-wrap:anywhere}.hint,.foot{color:var(--soft)}
.foot{font-size:.8125rem;margin:1.25rem 0 0}.button{display:inline-block;margin-top:.25rem;padding:.5rem 1rem;
border-radius:8px;background:var(--ink);color:var(--card);text-decoration:none}
</style></head><body><main><h1>${escape(content.title)}</h1><p>${escape(content.text)}</p>${
    content.hint === null ? '' : `<p class="hint">${escape(content.hint)}</p>`
  }${button}<p class="foot">${escape(content.foot)}</p></main></body></html>`
}

const sentence = (fragment: string): string => `${fragment.charAt(0).toUpperCase()}${fragment.slice(1)}.`

const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

export { securityHeaders as pageHeaders }
