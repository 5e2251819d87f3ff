import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { pause } from '../../lib/loop.ts'
import { account, ensureUsers, group, groupId } from '../setup/users.ts'
import { type Confinement, confinedCommand } from './command.ts'
import { startTimeOf } from './process-table.ts'

const skip = process.getuid?.() === 0 ? false : 'needs root, as `slopbox up` does'

let base = ''
let confinement: Confinement
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'slopbox-confined-'))
  chmodSync(base, 0o755)
  // As in /root: the clone and the data lie where no other user may look.
  mkdirSync(join(base, 'secret', 'clone'), { recursive: true })
  mkdirSync(join(base, 'secret', 'part'))
  chmodSync(join(base, 'secret'), 0o700)
  writeFileSync(join(base, 'secret', 'clone', 'code.txt'), 'the code\n')
  for (const name of ['app', 'own']) mkdirSync(join(base, name))
  confinement = {
    user: 'slopbox-egress',
    group,
    clone: join(base, 'secret', 'clone'),
    app: join(base, 'app'),
    binds: [{ from: join(base, 'secret', 'part'), to: join(base, 'own') }],
    capabilities: [],
    onOrphan: 'KILL',
  }
})
afterEach(() => rmSync(base, { recursive: true, force: true }))

function run(confined: Confinement, script: string): { status: number | null; out: string; err: string } {
  const [program = '', ...args] = confinedCommand(confined, ['/bin/sh', '-c', script])
  const result = spawnSync(program, args, { encoding: 'utf8', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } })
  return { status: result.status, out: result.stdout, err: result.stderr }
}

const statusOf = (text: string, field: string): string | undefined =>
  new RegExp(`^${field}:[ \\t]*(.*)$`, 'm').exec(text)?.[1]

test('a confined process is its own user, without capabilities or a way to more', { skip }, () => {
  ensureUsers()
  const { out } = run(confinement, 'cat /proc/self/status')
  const uid = account('slopbox-egress')?.uid
  const gid = groupId(group)
  assert.equal(statusOf(out, 'Uid'), [uid, uid, uid, uid].join('\t'))
  assert.equal(statusOf(out, 'Gid'), [gid, gid, gid, gid].join('\t'))
  assert.equal(statusOf(out, 'Groups')?.trim(), '')
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) assert.match(statusOf(out, set) ?? '', /^0+$/)
  assert.equal(statusOf(out, 'NoNewPrivs'), '1')
})

test('a process that listens on a low port keeps that one right', { skip }, () => {
  ensureUsers()
  const { out } = run({ ...confinement, capabilities: ['net_bind_service'] }, 'cat /proc/self/status')
  // CAP_NET_BIND_SERVICE is bit 10 (linux/capability.h).
  for (const set of ['CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) assert.equal(statusOf(out, set), '0000000000000400')
})

test('it reads the code although the clone lies in a closed directory, and cannot write it', { skip }, () => {
  ensureUsers()
  const { out } = run(
    confinement,
    `pwd; cat code.txt; touch new || echo refused; cat ${base}/secret/clone/code.txt || echo closed`,
  )
  assert.equal(out, `${base}/app\nthe code\nrefused\nclosed\n`)
})

test('it has its own part of the data, and the mounts are invisible outside', { skip }, () => {
  const users = ensureUsers()
  spawnSync('chown', [String(users['slopbox-egress'].uid), join(base, 'secret', 'part')])
  const { status } = run(confinement, `echo mine > ${base}/own/file`)
  assert.equal(status, 0)
  assert.equal(readFileSync(join(base, 'secret', 'part', 'file'), 'utf8'), 'mine\n')
  assert.equal(existsSync(join(base, 'own', 'file')), false)
  assert.doesNotMatch(readFileSync('/proc/self/mounts', 'utf8'), new RegExp(base))
})

test('paths with quotes and spaces are taken as they are', { skip }, () => {
  ensureUsers()
  const odd = join(base, "it's a $(dir)")
  mkdirSync(odd)
  writeFileSync(join(odd, 'code.txt'), 'odd\n')
  assert.equal(run({ ...confinement, clone: odd }, 'cat code.txt').out, 'odd\n')
})

test('it dies with whoever started it', { skip }, async () => {
  ensureUsers()
  const argv = confinedCommand(confinement, ['/bin/sh', '-c', 'echo $$; exec sleep 600'])
  const code = `const { spawn } = require('node:child_process'); const [p, ...a] = ${JSON.stringify(argv)}
    spawn(p, a, { stdio: ['ignore', 'inherit', 'inherit'], detached: true })`
  const parent = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(parent.stdout, 'data')) as [Buffer]
  const pid = Number(line.toString('utf8'))
  assert.notEqual(startTimeOf(pid), null)
  parent.kill('SIGKILL')
  const limit = AbortSignal.timeout(20_000)
  while (startTimeOf(pid) !== null && !limit.aborted) await pause(10, limit)
  assert.equal(startTimeOf(pid), null)
})
