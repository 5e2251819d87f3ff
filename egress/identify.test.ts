import assert from 'node:assert/strict'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { silentLog } from '../lib/log.ts'
import { identifyFromFile } from './identify.ts'

test('only both ends of one link identify, and a new table counts from the next connection on', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'identify-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'network.json')
  const identify = identifyFromFile(path, silentLog)
  const write = (links: [sandboxId: string, hostAddress: string, sandboxAddress: string][]): void => {
    const table = {
      links: links.map(([sandboxId, hostAddress, sandboxAddress]) => ({
        sandboxId,
        interface: 'v',
        hostAddress,
        sandboxAddress,
      })),
    }
    writeFileSync(`${path}.new`, JSON.stringify(table))
    renameSync(`${path}.new`, path)
  }
  assert.equal(identify.byPair('10.0.0.0', '10.0.0.1'), undefined, 'no table, nobody')
  write([
    ['a', '10.0.0.0', '10.0.0.1'],
    ['b', '10.0.0.2', '10.0.0.3'],
  ])
  assert.equal(identify.byPair('10.0.0.0', '10.0.0.1'), 'a')
  assert.equal(identify.byPair('::ffff:10.0.0.2', '::ffff:10.0.0.3'), 'b')
  assert.equal(identify.byPair('10.0.0.0', '10.0.0.3'), undefined, 'ends of two links')
  assert.equal(identify.byPair('10.0.0.1', '10.0.0.0'), undefined, 'the wrong way round')
  assert.equal(identify.byPair(undefined, undefined), undefined)
  assert.equal(identify.bySource('10.0.0.3'), 'b')
  write([['c', '10.0.0.0', '10.0.0.1']])
  assert.equal(identify.byPair('10.0.0.0', '10.0.0.1'), 'c', 'the link belongs to another now')
  assert.equal(identify.bySource('10.0.0.3'), undefined)
  writeFileSync(path, '{"links":[{"sandboxId":"d"}]}')
  assert.equal(identify.byPair('10.0.0.0', '10.0.0.1'), undefined, 'a table that makes no sense identifies nobody')
})
