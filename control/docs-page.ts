import { apiSections } from '../contract/api.ts'
import { errorCodes } from '../contract/errors.ts'
import type { Route } from '../contract/route.ts'
import { errorsOf, inputSchema } from './openapi.ts'
import type { Json } from './openapi.ts'

/** The human page about the API: one self-contained document without scripts, printed from the contract. */
export function docsPage(options: { origin: string; version: string }): string {
  const { origin, version } = options
  const sections = apiSections
    .map(
      ({ title, routes }) =>
        `<section id="${slug(title)}"><h2>${text(title)}</h2>${routes.map(article(origin)).join('')}</section>`,
    )
    .join('')
  const navigation = apiSections
    .map(
      ({ title, routes }) =>
        `<h3><a href="#${slug(title)}">${text(title)}</a></h3><ul>${routes
          .map((route) => `<li><a href="#${text(route.id)}">${text(route.id)}</a></li>`)
          .join('')}</ul>`,
    )
    .join('')
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Slopbox API</title>
<style>${style}</style>
</head>
<body>
<nav aria-label="Operations"><a class="brand" href="#top">Slopbox <small>API ${text(version)}</small></a>${navigation}<h3><a href="#errors">Errors</a></h3></nav>
<main id="top">
<header><h1>Slopbox API</h1>
<p>JSON over HTTP at <code>${text(origin)}</code>. Authenticate with <code>Authorization: Bearer slop_…</code> or <code>X-API-Key</code>;
a service key may act for a user with <code>X-User-Id</code>. Writes by <code>POST</code> take <code>Idempotency-Key</code>: a repeat within
24 hours gets the first reply again. Lists are newest first; pass <code>nextCursor</code> as <code>cursor</code> for the next page.
Unknown fields are refused by name. The machine-readable form is <a href="/openapi.json"><code>/openapi.json</code></a> (OpenAPI 3.1).</p></header>
${sections}
<section id="errors"><h2>Errors</h2><p>Every failure has one shape:</p>
<pre>{ "error": { "code": "not_found", "message": "no agent ag…", "hint": null, "requestId": "rq…" } }</pre>
<table><thead><tr><th scope="col">Code</th><th scope="col">Status</th><th scope="col">Next step</th></tr></thead><tbody>${Object.entries(
    errorCodes,
  )
    .map(
      ([code, { status, hint }]) =>
        `<tr><td><code>${code}</code></td><td>${status}</td><td>${prose(hint ?? '')}</td></tr>`,
    )
    .join('')}</tbody></table></section>
</main>
</body>
</html>
`
}

function article(origin: string): (route: Route) => string {
  return (route) => {
    const parts = [
      fieldsOf('Path', inputSchema(route.params)),
      fieldsOf('Query', inputSchema(route.query)),
      fieldsOf('Body', inputSchema(route.body)),
    ]
    const access = { public: 'no credentials', user: 'signed in or key', operator: 'operators' }[route.access]
    const kind = route.kind === 'stream' ? '<span class="tag">event stream</span>' : ''
    const codes = errorsOf(route).map((code) => `<a href="#errors"><code>${code}</code></a>`)
    return `<article id="${text(route.id)}">
<h3><a href="#${text(route.id)}">${text(route.summary)}</a></h3>
<p class="call"><b class="${route.method}">${route.method}</b> <code>${text(route.path)}</code> ${kind}<span class="tag">${access}</span></p>
${
  route.description === null
    ? ''
    : `<p>${prose(route.description)}</p>
`
}${parts.join('')}
<details><summary>Example</summary><pre>${text(example(origin, route))}</pre></details>
<p class="errors">${route.status} on success · errors ${codes.join(' ')}</p>
</article>`
  }
}

function fieldsOf(title: string, schema: Json): string {
  const rows = fieldRows(schema, '')
  if (rows.length === 0) return ''
  return `<table><caption>${title}</caption><thead><tr><th scope="col">Field</th><th scope="col">Type</th><th scope="col"></th></tr></thead><tbody>${rows.join('')}</tbody></table>`
}

function fieldRows(schema: Json, prefix: string): string[] {
  const required = new Set((schema['required'] ?? []) as string[])
  return Object.entries((schema['properties'] ?? {}) as Record<string, Json>).flatMap(([name, field]) => {
    const path = prefix + name
    const notes = [
      field['default'] === undefined || typeof field['default'] === 'object'
        ? ''
        : `default <code>${text(JSON.stringify(field['default']))}</code>`,
      prose(typeof field['description'] === 'string' ? field['description'] : ''),
    ]
    const row = `<tr><td><code>${text(path)}</code>${required.has(name) ? '<span class="must" title="required">*</span>' : ''}</td><td>${text(typeOf(field))}</td><td>${notes.filter((note) => note !== '').join(' · ')}</td></tr>`
    return [row, ...(field['type'] === 'object' ? fieldRows(field, `${path}.`) : [])]
  })
}

function typeOf(schema: Json): string {
  const { type, enum: values, const: constant, anyOf, oneOf, items, minimum, maximum, maxLength } = schema
  const choices = (anyOf ?? oneOf) as Json[] | undefined
  if (choices !== undefined) return choices.map(typeOf).join(' or ')
  if (Array.isArray(values)) return values.map((value) => JSON.stringify(value)).join(' | ')
  if (constant !== undefined) return JSON.stringify(constant)
  if (type === 'array') return `list of ${typeOf((items ?? {}) as Json)}`
  if (typeof maxLength === 'number') return `${String(type)}, at most ${maxLength}`
  const bounded = typeof minimum === 'number' && typeof maximum === 'number' && maximum < Number.MAX_SAFE_INTEGER
  const name = typeof type === 'string' ? type : 'any'
  return bounded ? `${name}, ${minimum}–${maximum}` : name
}

function example(origin: string, route: Route): string {
  const url = origin + route.path.replace(/:(\w+)/g, (_, name: string) => `{${name}}`)
  const lines = [`curl ${route.method === 'GET' ? '' : `-X ${route.method} `}${url}`]
  if (route.access !== 'public') lines.push(`  -H "Authorization: Bearer $SLOPBOX_API_KEY"`)
  if (route.kind === 'stream') lines.unshift(`${lines.shift() ?? ''} -N`)
  const body = inputSchema(route.body)
  const required = (body['required'] ?? []) as string[]
  const fields = (body['properties'] ?? {}) as Record<string, Json>
  if (Object.keys(fields).length > 0) {
    const sample = Object.fromEntries(required.map((name) => [name, sampleOf(fields[name] ?? {})]))
    lines.push(`  -H "Content-Type: application/json" -d '${JSON.stringify(sample)}'`)
  }
  return lines.join(' \\\n')
}

function sampleOf(schema: Json): unknown {
  if (Array.isArray(schema['enum'])) return schema['enum'][0]
  if (schema['type'] === 'object') {
    const fields = (schema['properties'] ?? {}) as Record<string, Json>
    return Object.fromEntries(
      ((schema['required'] ?? []) as string[]).map((name) => [name, sampleOf(fields[name] ?? {})]),
    )
  }
  const samples: Json = { array: [], integer: 1, number: 1, boolean: true }
  return samples[String(schema['type'])] ?? '…'
}

function text(value: string): string {
  return value.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

/** Text whose `code` is set as code. */
function prose(value: string): string {
  return text(value).replace(/`([^`]*)`/g, '<code>$1</code>')
}

function slug(title: string): string {
  return title.toLowerCase().replace(/[^a-z0-9]+/g, '-')
}

const style = `
:root{--bg:#fff;--side:#f7f7f8;--ink:#18181b;--soft:#63636e;--line:#e4e4e7;--code:#f1f1f3;--accent:#4f46e5}
@media(prefers-color-scheme:dark){:root{--bg:#0c0c0e;--side:#131316;--ink:#ededf0;--soft:#a0a0ab;--line:#27272c;--code:#1b1b20;--accent:#a5a0ff}}
*{box-sizing:border-box}html{scroll-behavior:smooth;scroll-padding-top:1rem}
body{margin:0;display:grid;grid-template-columns:17rem minmax(0,1fr);background:var(--bg);color:var(--ink);font:15px/1.6 system-ui,sans-serif}
nav{position:sticky;top:0;height:100vh;overflow:auto;padding:1.25rem;background:var(--side);border-right:1px solid var(--line);font-size:13px}
nav .brand{font-weight:700;font-size:16px}nav small{color:var(--soft);font-weight:400}nav ul{list-style:none;margin:0;padding:0}
nav h3{margin:1.1rem 0 .2rem;font-size:12px}nav a{display:block;color:inherit;text-decoration:none;padding:.1rem 0}nav li a{color:var(--soft)}nav a:hover{color:var(--accent)}
main{padding:2rem 2.5rem 6rem;max-width:60rem}h1{margin:0 0 .5rem;font-size:2rem;letter-spacing:-.02em}
h2{margin:3rem 0 .5rem;padding-top:1rem;border-top:1px solid var(--line);font-size:1.35rem}
article{margin:1.75rem 0;padding:1.1rem 1.25rem;border:1px solid var(--line);border-radius:10px}article:target{border-color:var(--accent)}
article h3{margin:0 0 .35rem;font-size:1rem}article h3 a{color:inherit;text-decoration:none}
.call{margin:0 0 .6rem}.call b{display:inline-block;min-width:4.2em;font:600 12px/1.9 ui-monospace,monospace;text-align:center;border-radius:5px;color:#fff;background:#52525b}
.call b.GET{background:#0f766e}.call b.POST{background:#4338ca}.call b.PUT,.call b.PATCH{background:#a16207}.call b.DELETE{background:#b91c1c}
.tag{margin-left:.4rem;padding:.05rem .5rem;border:1px solid var(--line);border-radius:99px;color:var(--soft);font-size:12px;white-space:nowrap}
code,pre{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,monospace}code{background:var(--code);border-radius:4px;padding:.1em .3em}
pre{background:var(--code);border-radius:8px;padding:.8rem 1rem;overflow:auto}pre code,.call code{background:none;padding:0}
table{width:100%;border-collapse:collapse;margin:.6rem 0;font-size:13.5px;table-layout:auto}caption{text-align:left;font-weight:600;padding:.3rem 0}
th{display:none}#errors th{display:table-cell;text-align:left}td{border-top:1px solid var(--line);padding:.35rem .6rem .35rem 0;vertical-align:top;overflow-wrap:anywhere}
td:first-child{white-space:nowrap}.must{color:#dc2626;margin-left:.15rem}.errors{margin:.6rem 0 0;color:var(--soft);font-size:12.5px}.errors a,header a{color:var(--accent)}
summary{cursor:pointer;color:var(--soft);font-size:13px}a:focus-visible,summary:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:4px}
@media(max-width:800px){body{display:block}nav{position:static;height:auto;max-height:40vh;border-right:0;border-bottom:1px solid var(--line)}main{padding:1.25rem}td:first-child{white-space:normal}}
`
