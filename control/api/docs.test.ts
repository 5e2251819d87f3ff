import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { apiRoutes } from '../../contract/api.ts'
import type { Route } from '../../contract/route.ts'
import { startTestControl } from '../testing.ts'
import type { TestControl } from '../testing.ts'

let control: TestControl
before(async () => {
  control = await startTestControl()
})
after(() => control[Symbol.asyncDispose]())

test('every public operation of the contract is in the list, once', async () => {
  const folder = new URL('../../contract/', import.meta.url)
  const declared: Route[] = []
  for (const file of readdirSync(folder)) {
    if (['api.ts', 'internal.ts', 'sync.ts'].includes(file) || file.endsWith('.test.ts')) continue
    const module = (await import(new URL(file, folder).href)) as Record<string, unknown>
    for (const value of Object.values(module))
      if (typeof value === 'object' && value !== null && 'method' in value && 'reply' in value)
        declared.push(value as Route)
  }
  const ids = (routes: readonly Route[]): string[] => routes.map((route) => route.id).toSorted()
  assert.deepEqual(ids(apiRoutes), ids(declared))
  assert.equal(new Set(ids(apiRoutes)).size, apiRoutes.length)
})

test('control answers every public operation that is its own', () => {
  const missing = apiRoutes.filter(
    (route) => route.server === 'control' && !control.app.server.hasRoute({ method: route.method, url: route.path }),
  )
  assert.deepEqual(
    missing.map((route) => route.id),
    [],
  )
})

test('the document has every operation, and every reference in it leads somewhere', async () => {
  const { status, body } = await control.inject({ method: 'GET', path: '/openapi.json' }, {}, {})
  assert.equal(status, 200)
  const document = body as {
    openapi: string
    paths: Record<string, Record<string, { operationId: string }>>
    components: { schemas: Record<string, unknown> }
  }
  assert.equal(document.openapi, '3.1.0')
  const operations = Object.values(document.paths).flatMap((path) =>
    Object.values(path).map((each) => each.operationId),
  )
  assert.deepEqual(operations.toSorted(), apiRoutes.map((route) => route.id).toSorted())
  const text = JSON.stringify(document)
  for (const [, name] of text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g))
    assert.ok(document.components.schemas[name ?? ''], name)
  assert.equal(/"\$ref":"(?!#\/components\/schemas\/)/.test(text), false)
})

test('the page shows every operation and loads nothing from elsewhere', async () => {
  const { status, body, headers } = await control.inject({ method: 'GET', path: '/docs' }, {}, {})
  assert.equal(status, 200)
  assert.match(String(headers['content-security-policy']), /default-src 'none'/)
  const page = String(body)
  for (const route of apiRoutes) assert.ok(page.includes(`id="${route.id}"`), route.id)
  assert.equal(/<script|<link|src=|url\(/i.test(page), false)
})

test('what no operation answers is not found, as JSON with a request id', async () => {
  for (const path of ['/', '/v1', '/v1/agentz', '/v2/agents'] as const) {
    const { status, body, headers } = await control.inject({ method: 'GET', path }, {}, {})
    assert.equal(status, 404)
    const { error } = body as { error: { code: string; requestId: string } }
    assert.equal(error.code, 'not_found')
    assert.match(error.requestId, /^rq[a-z0-9]{16}$/)
    assert.equal(headers['x-request-id'], error.requestId)
  }
})
