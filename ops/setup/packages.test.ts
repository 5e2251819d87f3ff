import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findProgram, installLine, systemPackages } from './packages.ts'

test('every package says why it is needed and how to see that it is there', () => {
  for (const entry of systemPackages) {
    assert.match(entry.name, /^[a-z0-9][a-z0-9.+-]+$/)
    assert.ok(entry.why.length > 5 && entry.anyOf.length > 0, entry.name)
  }
  assert.equal(new Set(systemPackages.map((entry) => entry.name)).size, systemPackages.length)
})

test('what is missing comes with the one line to run', () => {
  const two = systemPackages.slice(0, 2)
  assert.equal(installLine(two, true), 'apt-get update && apt-get install -y crun nftables')
  assert.equal(installLine(two, false), 'sudo apt-get update && sudo apt-get install -y crun nftables')
})

test('programs are found where root finds them, whatever PATH says', () => {
  assert.match(findProgram('sh') ?? '', /\/bin\/sh$/)
  assert.equal(findProgram('no-such-program-anywhere'), null)
})
