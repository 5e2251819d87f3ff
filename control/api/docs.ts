import { mountFetch } from '../../lib/mount.ts'
import type { App } from '../../lib/mount.ts'
import type { Caller } from '../auth/caller.ts'
import { docsPage } from '../docs-page.ts'
import { openApiDocument } from '../openapi.ts'

/** `/openapi.json` for programs and `/docs` for people; made at the first request and kept. */
export function mountDocs(app: App<Caller>, about: { origin: string; version: string }): void {
  let document: string | undefined
  let page: string | undefined
  const get = { methods: ['GET' as const], origin: about.origin }
  mountFetch(app, { ...get, path: '/openapi.json' }, () => {
    document ??= JSON.stringify(openApiDocument(about))
    return new Response(document, {
      headers: { 'content-type': 'application/json', 'access-control-allow-origin': '*' },
    })
  })
  mountFetch(app, { ...get, path: '/docs' }, () => {
    page ??= docsPage(about)
    const policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
    return new Response(page, {
      headers: { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': policy },
    })
  })
}
