import assert from 'node:assert/strict'
import { test } from 'node:test'
import { whyNoOci } from './probe.ts'
import { ociWorld } from './testing.ts'

/** `TIOCGWINSZ` of standard output; perl-base has no other way to ask. */
const size = `sub size { my $s = pack 'S4'; ioctl STDOUT, 0x5413, $s; print join(' ', (unpack 'S4', $s)[1, 0]), "\\n" }`
/**
 * The next line that is typed. Perl runs a handler between two operations, so a signal that comes just before a read waits
 * until that read ends: no read begins before there is something to read.
 */
const line = `sub line { while (1) { my $set = "\\1"; return <STDIN> if select($set, undef, undef, 0.05) > 0 } }`

for (const runtime of ['crun', 'runc'] as const) {
  const reason = whyNoOci(runtime)
  const options = { timeout: 120_000, ...(reason === undefined ? {} : { skip: reason }) }

  /** A started sandbox and a program at a terminal in it; `until` reads on until the text is there. */
  const open = async (script: string) => {
    const world = await ociWorld(runtime)
    await world.driver.create('sb1', world.spec({}))
    await world.driver.start('sb1')
    const execution = await world.driver.exec('sb1', {
      command: ['perl', '-e', `$| = 1; ${size}; ${line}; ${script}`],
      env: {},
      cwd: undefined,
      user: 'user',
      terminal: { cols: 91, rows: 33 },
    })
    execution.stderr.resume()
    let seen = ''
    const output = execution.stdout.iterator({ destroyOnReturn: false })
    const until = async (text: string): Promise<void> => {
      while (!seen.includes(text)) {
        const { value, done } = await output.next()
        assert.ok(done !== true, `ended after ${JSON.stringify(seen)} without ${text}`)
        seen += String(value)
      }
    }
    return {
      execution,
      until,
      seen: () => seen,
      rest: () => until('\0').catch(() => seen),
      [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
    }
  }

  test(
    `${runtime}: a command at a terminal knows its size, also a new one, and reads what is typed`,
    options,
    async () => {
      await using at = await open(
        `$SIG{WINCH} = sub { size }; print -t STDIN && -t STDERR ? 'tty ' : 'none '; size; while ($_ = line) { print "got $_"; exit 7 if /end/ }`,
      )
      await at.until('tty 91 33')
      at.execution.resize?.({ cols: 120, rows: 50 })
      await at.until('120 50')
      at.execution.stdin.write('hello\n')
      await at.until('hello\r\ngot hello\r\n')
      assert.equal(at.seen().split('hello').length, 3)
      at.execution.stdin.write('end\n')
      await at.rest()
      assert.deepEqual(await at.execution.exited, { code: 7, signal: null })
    },
  )

  test(`${runtime}: an interrupt that is typed ends a flood of output`, options, async () => {
    await using at = await open(`print "begin\\n"; print 'x' x 1000, "\\n" while 1`)
    await at.until('begin')
    at.execution.stdin.write('\x03')
    await at.rest()
    assert.equal((await at.execution.exited).code, 130)
  })

  test(`${runtime}: a program that is not there ends with 127, as without a terminal`, options, async () => {
    await using world = await ociWorld(runtime)
    await world.driver.create('sb1', world.spec({}))
    await world.driver.start('sb1')
    const command = { command: ['nosuch'], env: {}, cwd: undefined, user: undefined, terminal: { cols: 80, rows: 24 } }
    const execution = await world.driver.exec('sb1', command)
    execution.stdout.resume()
    execution.stderr.resume()
    assert.equal((await execution.exited).code, 127)
  })

  test(`${runtime}: killing a command ends its terminal`, options, async () => {
    await using at = await open(`print "begin\\n"; sleep 600`)
    await at.until('begin')
    at.execution.kill('SIGKILL')
    await at.rest()
    assert.equal((await at.execution.exited).signal, 'SIGKILL')
  })
}
