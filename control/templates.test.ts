import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { DesiredTemplate } from '../contract/sync.ts'
import { newId } from '../contract/ids.ts'
import { builtInTemplate, builtInTemplates } from './templates.ts'

test('every built-in template is one that a host accepts, parents before children', () => {
  const seen = new Set<string>()
  for (const { description: _description, ...template } of builtInTemplates) {
    DesiredTemplate.parse({ ...template, buildId: newId('build') })
    if (template.from.kind === 'template') assert.ok(seen.has(template.from.key), template.name)
    seen.add(template.key)
  }
  assert.equal(seen.size, builtInTemplates.length)
})

test('every step is one that a shell can read', () => {
  for (const { steps } of builtInTemplates)
    for (const step of steps) execFileSync('/bin/sh', ['-n', '-c', step.run], { stdio: 'pipe' })
})

test('a template is found by its name', () => {
  assert.equal(builtInTemplate('base')?.name, 'base')
  assert.equal(builtInTemplate('constructor'), undefined)
})
