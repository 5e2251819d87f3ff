import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, openSync, closeSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { allowFullDisk, endedForDisk, isDiskOver } from './disk-limit.ts'
import { diskLimit, isBeyond, measure } from './disk-watch.ts'
import { layoutOf, pathsOf } from './layout.ts'

const size = { cpus: 1, memoryMiB: 64, diskGiB: 1 }
const mebibyte = 1024 ** 2

function directory(): Disposable & { path: string } {
  // Not below /tmp: files in memory are not on a disk.
  const path = mkdtempSync(join('/var/tmp', 'slopbox-disk-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

test('a disk is what its directories hold and what is deleted but still open', async () => {
  using root = directory()
  for (const name of ['upper/deep', 'volume']) mkdirSync(join(root.path, name), { recursive: true })
  writeFileSync(join(root.path, 'upper/deep/file'), Buffer.alloc(2 * mebibyte))
  writeFileSync(join(root.path, 'volume/file'), Buffer.alloc(mebibyte))
  const disk = {
    id: 'sb1',
    directories: [join(root.path, 'upper'), join(root.path, 'volume')],
    processes: [process.pid],
    size,
  }
  const before = (await measure([disk])).get('sb1')
  assert.ok(before)
  // Directories take a block each.
  assert.ok(before.bytes >= 3 * mebibyte && before.bytes < 4 * mebibyte, `${before.bytes}`)
  assert.ok(before.files >= 5)
  const gone = openSync(join(root.path, 'upper/gone'), 'w')
  try {
    rmSync(join(root.path, 'upper/gone'))
    writeSync(gone, Buffer.alloc(8 * mebibyte))
    const after = (await measure([disk])).get('sb1')
    assert.ok((after?.bytes ?? 0) >= before.bytes + 8 * mebibyte)
  } finally {
    closeSync(gone)
  }
})

test('the limit is bytes or files, whichever comes first', () => {
  const limit = diskLimit(size)
  assert.equal(isBeyond({ bytes: 1024 ** 3, files: 65_536 }, limit), false)
  assert.equal(isBeyond({ bytes: 1024 ** 3 + 1, files: 1 }, limit), true)
  assert.equal(isBeyond({ bytes: 1, files: 65_537 }, limit), true)
})

test('who comes back to a full disk may stay as long as it does not grow', async () => {
  const root = mkdtempSync(join(tmpdir(), 'slopbox-disk-'))
  try {
    const paths = pathsOf(layoutOf('abcd', root), 'sb1')
    mkdirSync(paths.dir, { recursive: true })
    const gibibytes = (count: number) => ({ bytes: count * 1024 ** 3, files: 10 })
    assert.equal(await isDiskOver(paths, size, gibibytes(1)), false)
    assert.equal(await endedForDisk(paths), false)
    assert.equal(await isDiskOver(paths, size, gibibytes(2)), true)
    assert.equal(await endedForDisk(paths), true)
    await allowFullDisk(paths)
    assert.equal(await endedForDisk(paths), false)
    assert.equal(await isDiskOver(paths, size, gibibytes(2)), false)
    assert.equal(await isDiskOver(paths, size, gibibytes(3)), true)
    // Room was made: from here on the limit holds again.
    await allowFullDisk(paths)
    assert.equal(await isDiskOver(paths, size, gibibytes(0.5)), false)
    assert.equal(await isDiskOver(paths, size, gibibytes(2)), true)
  } finally {
    rmSync(root, { recursive: true })
  }
})
