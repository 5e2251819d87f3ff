import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { placesOf } from './paths.ts'
import { wipe } from './teardown.ts'

const skip = process.getuid?.() === 0 ? false : 'needs root, as `slopbox down --wipe` does'

test('processes of sandboxes end, their cgroups, run files and data go', { skip }, async (t) => {
  const instance = randomBytes(4).toString('hex')
  const base = mkdtempSync(join(tmpdir(), 'slopbox-wipe-'))
  t.after(() => rmSync(base, { recursive: true, force: true }))
  const places = placesOf(join(base, 'data'), instance, join(base, 'run'))
  const tree = existsSync('/sys/fs/cgroup/cgroup.controllers') ? '/sys/fs/cgroup' : '/sys/fs/cgroup/pids'
  const cgroup = join(tree, `slopbox-${instance}`, 'sandbox', 'inner')
  for (const directory of [places.data, places.run, cgroup]) mkdirSync(directory, { recursive: true })
  const sleeper = spawn('sleep', ['600'], { stdio: 'ignore' })
  const gone = once(sleeper, 'exit')
  writeFileSync(join(cgroup, 'cgroup.procs'), String(sleeper.pid))
  await wipe(places, instance)
  assert.deepEqual(await gone, [null, 'SIGKILL'])
  for (const path of [places.data, places.run, join(tree, `slopbox-${instance}`)])
    assert.equal(existsSync(path), false, path)
})
