import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { errorCodes } from '../contract/errors.ts'
import { configurationPage } from './print-config.ts'

const root = dirname(import.meta.dirname)
const read = (file: string): string => readFileSync(join(root, file), 'utf8')
const exclude = ['**/node_modules/**', '**/dist/**', '.cache/**']
const pages = globSync(['docs/**/*.md', '*.md'], { cwd: root, exclude })

test('docs/errors.md lists every code with its status and hint, and no other', () => {
  const rows = [...read('docs/errors.md').matchAll(/^\| `(\w+)` \| (\d+) \| (.+) \|$/gm)]
  const listed = rows.map(([, code, status, hint]) => ({
    code,
    status: Number(status),
    hint: hint === '–' ? null : hint,
  }))
  const declared = Object.entries(errorCodes).map(([code, { status, hint }]) => ({ code, status, hint }))
  assert.deepEqual(listed, declared)
})

test('docs/configuration.md is what the schemas say: `node scripts/print-config.ts` writes it', () => {
  assert.equal(read('docs/configuration.md'), configurationPage())
})

for (const page of pages) {
  test(`every path named in ${page} exists`, () => {
    const text = read(page)
    const folders = 'contract|core|lib|control|host|egress|gateway|sdk|console|ops|e2e|docs|scripts'
    const named = [...text.matchAll(new RegExp('`((?:' + folders + ')/[\\w./-]*)`', 'g'))].map(
      (match) => match[1] ?? '',
    )
    const linked = [...text.matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g)].map((match) =>
      join(dirname(page), match[1] ?? ''),
    )
    assert.deepEqual(
      [...named, ...linked].filter((path) => !existsSync(join(root, path))),
      [],
    )
  })
}

test('no source file is longer than 400 lines', () => {
  const files = globSync('**/*.{ts,tsx,mjs,css}', { cwd: root, exclude })
  assert.ok(files.length > 100)
  const long = files.flatMap((file) => {
    const lines = read(file).split('\n').length - 1
    return lines > 400 ? [`${file}: ${lines}`] : []
  })
  assert.deepEqual(long, [])
})

test('every dependency is named in an exact version', () => {
  const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, string> | undefined>
  const all = ['dependencies', 'optionalDependencies', 'devDependencies'].flatMap((kind) =>
    Object.entries(manifest[kind] ?? {}),
  )
  assert.deepEqual(
    all.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)),
    [],
  )
})
