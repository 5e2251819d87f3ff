import assert from 'node:assert/strict'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { pidsLimit } from './bundle.ts'
import { moveLayer } from './layers.ts'
import { whyNoOci } from './probe.ts'
import { ociWorld, type OciWorld } from './testing.ts'

const runtimes = (['crun', 'runc'] as const).map((runtime) => {
  const reason = whyNoOci(runtime)
  return { runtime, options: reason === undefined ? {} : { skip: reason } }
})

async function perl(world: OciWorld, script: string, user?: string): Promise<string> {
  const request = { command: ['perl', '-e', script], env: {}, cwd: undefined, user }
  const execution = await world.driver.exec('sb1', request)
  execution.stdin.end()
  const [out, err] = await Promise.all([text(execution.stdout), text(execution.stderr)])
  return out + err
}

/** Number on x86-64 and on arm64, and arguments. Each must end with EPERM (1) or ENOSYS (38). */
const refusedCalls: Record<string, readonly [x64: number, arm64: number, args: string]> = {
  'unshare(CLONE_NEWUSER)': [272, 97, '0x10000000'],
  'clone(CLONE_NEWUSER)': [56, 220, '0x10000011, 0, 0, 0, 0'],
  clone3: [435, 435, '0, 0'],
  setns: [308, 268, '0, 0'],
  mount: [165, 40, '0, 0, 0, 0, 0'],
  open_tree: [428, 428, '0, 0, 0'],
  pivot_root: [155, 41, '0, 0'],
  chroot: [161, 51, '0'],
  bpf: [321, 280, '0, 0, 0'],
  io_uring_setup: [425, 425, '1, 0'],
  userfaultfd: [323, 282, '0'],
  keyctl: [250, 219, '0, 0, 0'],
  add_key: [248, 217, '0, 0, 0, 0, 0'],
  perf_event_open: [298, 241, '0, 0, 0, 0, 0'],
  ptrace: [101, 117, '0, 0, 0, 0'],
  process_vm_readv: [310, 270, '0, 0, 0, 0, 0, 0'],
  init_module: [175, 105, '0, 0, 0'],
  kexec_load: [246, 104, '0, 0, 0, 0'],
  open_by_handle_at: [304, 265, '0, 0, 0'],
  reboot: [169, 142, '0, 0, 0, 0'],
  'socket(AF_PACKET)': [41, 198, '17, 3, 0'],
  'socket(AF_ALG)': [41, 198, '38, 5, 0'],
  'socket(AF_VSOCK)': [41, 198, '40, 1, 0'],
  'personality(ADDR_NO_RANDOMIZE)': [135, 92, '0x0040000'],
}

for (const { runtime, options } of runtimes) {
  test(`${runtime}: kernel entry points an agent does not need are closed`, options, async () => {
    await using world = await ociWorld(runtime)
    await world.driver.create('sb1', world.spec({}))
    await world.driver.start('sb1')
    const lines = Object.entries(refusedCalls).map(
      ([name, [x64, arm64, args]]) =>
        `$! = 0; syscall(${process.arch === 'arm64' ? arm64 : x64}, ${args}); print '${name} ', $!+0, "\\n";`,
    )
    const answers = (await perl(world, lines.join('\n'))).trim().split('\n')
    assert.equal(answers.length, lines.length)
    for (const answer of answers) assert.match(answer, / (1|38)$/)
  })

  test(
    `${runtime}: no capability, no new privilege, own ids and namespaces, nothing of the kernel to write`,
    options,
    async () => {
      await using world = await ociWorld(runtime)
      await world.driver.create('sb1', world.spec({}))
      await world.driver.start('sb1')
      const status = await perl(
        world,
        'open F, "/proc/self/status"; print <F>; open M, "/proc/self/uid_map"; print <M>',
      )
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
        assert.match(status, new RegExp(`${set}:\\t0+\\n`))
      assert.match(status, /NoNewPrivs:\t1\n/)
      assert.match(status, /Seccomp:\t2\n/)
      assert.match(status, /^ +0 +8\d{8} +65536$/m)
      const closed = [
        '/proc/sys/kernel/core_pattern',
        '/proc/sysrq-trigger',
        '/sys/kernel/mm/ksm/run',
        '/etc/slopbox/x',
        '/run/slopbox/init',
      ]
      assert.equal(await perl(world, `for (qw(${closed.join(' ')})) { print "$_ opened" if open F, '>', $_ }`), '')
      const devices = (await perl(world, 'opendir D, "/dev"; print join " ", sort grep { !/^[.]/ } readdir D')).split(
        ' ',
      )
      const known = 'console core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero'.split(
        ' ',
      )
      assert.deepEqual(
        devices.filter((name) => !known.includes(name)),
        [],
      )
      for (const kind of ['user', 'pid', 'ipc', 'uts', 'mnt', 'net', 'cgroup']) {
        const own = await perl(world, `print readlink "/proc/self/ns/${kind}"`)
        assert.notEqual(own, '')
        assert.notEqual(own, readlinkSync(`/proc/self/ns/${kind}`))
      }
    },
  )

  test(`${runtime}: processes are limited in number and the dead are buried`, options, async () => {
    await using world = await ociWorld(runtime)
    await world.driver.create('sb1', world.spec({}))
    await world.driver.start('sb1')
    const bomb =
      'my $n = 0; while (1) { my $p = fork; last unless defined $p; if (!$p) { sleep 600 } $n++ } print $n; kill 9, -1'
    const forked = Number(/^\d+/.exec(await perl(world, `$| = 1; ${bomb}`))?.[0])
    assert.ok(forked > pidsLimit / 2 && forked < pidsLimit, `forked ${forked}`)
    await perl(world, 'for (1..5) { if (!fork) { fork; exit } } 1 while wait != -1')
    const zombies = `opendir D, "/proc"; for (grep /^\\d+$/, readdir D) { open F, "/proc/$_/stat" or next; print <F> =~ / Z / ? "zombie " : "" }`
    // The init hears of each death by a signal of its own; asking twice is no wait but a second look.
    for (let looks = 0; (await perl(world, zombies)) !== '' && looks < 50; looks++);
    assert.equal(await perl(world, zombies), '')
  })

  test(`${runtime}: a build may change owners and ids, and still no more than that`, options, async () => {
    await using world = await ociWorld(runtime)
    await world.driver.create('sb1', world.spec({ power: 'build' }))
    await world.driver.start('sb1')
    const script = `open F, '>', '/f'; close F; chown 33, 33, '/f' or die $!; print join ' ', (stat '/f')[4,5];
      $! = 0; syscall(165, 0, 0, 0, 0, 0); print ' ', $!+0; open M, '>', '/proc/sys/kernel/core_pattern' and print ' opened'`
    assert.equal(await perl(world, script), '33 33 1')
    const disk = join(world.options.dataDir, 'sandboxes/sb1/data/upper/f')
    assert.deepEqual([lstatSync(disk).uid, lstatSync(disk).gid], [33, 33])
  })
}

test('killing a command kills what it hid in a session of its own', runtimes[0]?.options ?? {}, async () => {
  await using world = await ociWorld('crun')
  await world.driver.create('sb1', world.spec({}))
  await world.driver.start('sb1')
  const setsid = process.arch === 'arm64' ? 157 : 112
  const script = `$| = 1; if (!fork) { syscall(${setsid}); sleep 600 } print "ready\\n"; sleep 600`
  const command = ['perl', '-e', script]
  const execution = await world.driver.exec('sb1', { command, env: {}, cwd: undefined, user: undefined })
  execution.stderr.resume()
  const output = execution.stdout[Symbol.asyncIterator]()
  await output.next()
  execution.kill('SIGKILL')
  assert.equal((await output.next()).done, true)
  assert.deepEqual(await execution.exited, { code: null, signal: 'SIGKILL' })
})

test('a layer is exported without touching where its links point', async () => {
  const base = mkdtempSync(join(tmpdir(), 'slopbox-move-'))
  try {
    for (const dir of ['upper', 'to', 'outside/slopbox']) mkdirSync(join(base, dir), { recursive: true })
    symlinkSync(join(base, 'outside'), join(base, 'upper/run'))
    writeFileSync(join(base, 'upper/kept'), 'kept')
    await moveLayer(join(base, 'upper'), join(base, 'to'))
    assert.equal(readFileSync(join(base, 'to/kept'), 'utf8'), 'kept')
    assert.ok(existsSync(join(base, 'outside/slopbox')))
  } finally {
    rmSync(base, { recursive: true })
  }
})
