import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as probes from './probes.ts'

for (const [version, verdict] of [
  ['5.18.19', 'missing'],
  ['5.19.0-rc1', 'ok'],
  ['6.1.0-13-amd64', 'ok'],
  ['4.19.0', 'missing'],
] as const) {
  test(`kernel ${version} is ${verdict}`, () => {
    assert.equal(probes.kernel(version).verdict, verdict)
  })
}

test('whatever is not there comes with a way to get it', async () => {
  const findings = [
    probes.root(),
    probes.cgroups(),
    probes.overlay(),
    probes.packages(),
    ...probes.runtimes(),
    probes.memory(),
    probes.disk('/nonexistent/deep/down'),
    await probes.names('slopbox.localhost'),
    ...probes.registries(),
  ]
  for (const { name, verdict, detail, fix } of findings) {
    assert.notEqual(detail, '', name)
    assert.equal(fix === null, verdict === 'ok', name)
  }
})

test('addresses of registries are told without credentials', () => {
  for (const { name, detail } of probes.registries()) assert.doesNotMatch(detail, /@/, name)
})
