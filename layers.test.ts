import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'

/** Which folder may import which, types included. A folder may always import itself. */
const may: Record<string, readonly string[]> = {
  contract: [],
  core: ['contract'],
  lib: ['contract'],
  control: ['contract', 'core', 'lib'],
  host: ['contract', 'core', 'lib'],
  egress: ['contract', 'core', 'lib'],
  gateway: ['contract', 'core', 'lib'],
  sdk: ['contract'],
  console: ['contract', 'core', 'sdk'],
  ops: ['contract', 'lib', 'sdk'],
}

for (const [from, allowed] of Object.entries(may)) {
  test(`${from}/ imports only ${[from, ...allowed].join(', ')}`, () => {
    const wrong = globSync(`${from}/**/*.{ts,tsx}`, { exclude: ['**/node_modules/**', '**/dist/**'] }).flatMap((file) =>
      [...readFileSync(file, 'utf8').matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)]
        .map(([, path]) => join(dirname(file), path ?? ''))
        .filter((path) => {
          const to = path.split('/')[0] ?? ''
          return to !== from && !allowed.includes(to)
        })
        .map((path) => `${file} imports ${path}`),
    )
    assert.deepEqual(wrong, [])
  })
}
