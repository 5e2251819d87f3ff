import assert from 'node:assert/strict'
import { text } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { SlopboxError } from '../../contract/errors.ts'
import type { LogLine } from '../../contract/sandboxes.ts'
import { lookAt } from '../driver.ts'
import type { Driver, DriverSpec, Observed } from '../driver.ts'

/** A driver under examination and the few things that differ from one to another. */
export interface ExamWorld extends AsyncDisposable {
  driver: Driver
  /** A new driver object on the same world, as after the host process was killed. */
  reopen: () => Promise<Driver>
  /** A spec that works, with these changes. */
  spec: (changes: Partial<DriverSpec>) => DriverSpec
  /** A command that listens on the port and sends every byte back. */
  echoServer: (port: number) => string[]
  /** A new directory on the file system of the driver's data. */
  emptyDirectory: () => string
  /** A command that takes more memory than a sandbox of 64 MiB has. */
  hog: string[]
  /** True when nothing of the sandbox is left on the machine. */
  isGone: (id: string) => Promise<boolean>
}

/** Every method is there: the exam is for drivers that can do it all. */
type Whole = Required<Driver>

const never = new AbortController().signal

async function run(
  driver: Whole,
  id: string,
  command: string[],
  options: { stdin?: string; user?: string; cwd?: string; env?: Record<string, string> } = {},
): Promise<{ code: number | null; signal: string | null; stdout: string; stderr: string }> {
  const execution = await driver.exec(id, { command, env: options.env ?? {}, cwd: options.cwd, user: options.user })
  execution.stdin.end(options.stdin ?? '')
  const [stdout, stderr, end] = await Promise.all([text(execution.stdout), text(execution.stderr), execution.exited])
  return { ...end, stdout, stderr }
}

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + 20_000
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    assert.ok(performance.now() < deadline, `waited too long until ${what}`)
    await sleep(10)
  }
}

const stateOf = (driver: Driver, id: string): Promise<Observed | undefined> => lookAt(driver, id)

const untilStopped = (driver: Driver, id: string): Promise<Observed> =>
  until('the sandbox has stopped', async () => {
    const seen = await stateOf(driver, id)
    return seen?.state === 'stopped' ? seen : undefined
  })

const codeIs =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof SlopboxError && error.code === code

/** What every driver must do, however it does it. `make` gives each test a world of its own. */
export function examineDriver(name: string, make: () => Promise<ExamWorld>): void {
  describe(`the ${name} driver`, () => {
    const exam = (title: string, body: (world: ExamWorld, driver: Whole) => Promise<void>): void => {
      test(title, { timeout: 120_000 }, async () => {
        await using world = await make()
        await body(world, world.driver as Whole)
      })
    }
    examineLife(exam)
    examineDisk(exam)
    examineLayers(exam)
    examineExec(exam)
    examineStart(exam)
    examineCrash(exam)
  })
}

type Exam = (title: string, body: (world: ExamWorld, driver: Whole) => Promise<void>) => void

function examineLife(exam: Exam): void {
  exam('takes a sandbox from nothing to nothing, and every verb twice', async ({ spec, isGone }, driver) => {
    const twice = async (act: () => Promise<void>): Promise<void> => {
      await act()
      await act()
    }
    await twice(() => driver.create('sb1', spec({})))
    const made = await stateOf(driver, 'sb1')
    assert.equal(made?.state, 'stopped')
    assert.equal(made.startedAt, null)
    await twice(() => driver.start('sb1'))
    const started = await stateOf(driver, 'sb1')
    assert.equal(started?.state, 'running')
    assert.ok(!Number.isNaN(Date.parse(started.startedAt ?? '')))
    await twice(() => driver.pause('sb1'))
    assert.equal((await stateOf(driver, 'sb1'))?.state, 'paused')
    await twice(() => driver.resume('sb1'))
    assert.deepEqual(await run(driver, 'sb1', ['echo', 'awake']), {
      code: 0,
      signal: null,
      stdout: 'awake\n',
      stderr: '',
    })
    await twice(() => driver.stop('sb1'))
    assert.deepEqual(await stateOf(driver, 'sb1'), { ...started, state: 'stopped', exit: null })
    await twice(() => driver.destroy('sb1', []))
    assert.equal(await stateOf(driver, 'sb1'), undefined)
    assert.ok(await isGone('sb1'))
  })

  exam('stops and destroys what is paused or running', async ({ spec, isGone }, driver) => {
    await Promise.all(['sb1', 'sb2'].map((id) => driver.create(id, spec({}))))
    await Promise.all(['sb1', 'sb2'].map((id) => driver.start(id)))
    await driver.pause('sb1')
    await driver.stop('sb1')
    assert.equal((await stateOf(driver, 'sb1'))?.state, 'stopped')
    await Promise.all(['sb1', 'sb2'].map((id) => driver.destroy(id, [])))
    assert.equal((await driver.list()).size, 0)
    assert.ok((await isGone('sb1')) && (await isGone('sb2')))
  })

  exam('gives a hash that follows the spec and not its files', async ({ spec }, driver) => {
    const file = { path: 'a', content: 'x', executable: false }
    await driver.create('sb1', spec({}))
    await driver.create('sb2', spec({ files: [file] }))
    await driver.create('sb3', spec({ env: { OTHER: '1' } }))
    const [one, two, three] = [...(await driver.list()).values()].map((seen) => seen.specHash)
    assert.equal(one, two)
    assert.notEqual(one, three)
  })

  exam('refuses what a stopped or unknown sandbox cannot do', async ({ spec }, driver) => {
    await driver.create('sb1', spec({}))
    const command = { command: ['true'], env: {}, cwd: undefined, user: undefined }
    await assert.rejects(driver.exec('sb1', command), codeIs('wrong_state'))
    await assert.rejects(driver.dial('sb1', 80, never), codeIs('wrong_state'))
    await assert.rejects(driver.pause('sb1'), codeIs('wrong_state'))
    await assert.rejects(driver.start('sb2'), codeIs('not_found'))
    await assert.rejects(driver.usage('sb2'), codeIs('not_found'))
    await driver.start('sb1')
    await driver.pause('sb1')
    await assert.rejects(driver.exec('sb1', command), codeIs('wrong_state'))
  })

  exam('changes a stopped sandbox and keeps its disk', async ({ spec }, driver) => {
    await driver.create('sb1', spec({}))
    await driver.start('sb1')
    await run(driver, 'sb1', ['tee', '/kept'], { stdin: 'kept' })
    await assert.rejects(driver.update('sb1', spec({ env: { NEW: 'yes' } })), codeIs('wrong_state'))
    await driver.stop('sb1')
    await driver.update('sb1', spec({ env: { NEW: 'yes' } }))
    await driver.start('sb1')
    assert.match((await run(driver, 'sb1', ['env'])).stdout, /^NEW=yes$/m)
    assert.equal((await run(driver, 'sb1', ['cat', '/kept'])).stdout, 'kept')
  })
}

function examineDisk(exam: Exam): void {
  exam('keeps the disk through stop and the volume through destroy', async ({ spec }, driver) => {
    const volumes = [{ id: 'vol1', path: '/home/user/work' }]
    await driver.create('sb1', spec({ volumes }))
    await driver.start('sb1')
    const script = 'echo disk > /tmp/disk; echo volume > /home/user/work/kept'
    assert.deepEqual(await run(driver, 'sb1', ['sh', '-c', script]), { code: 0, signal: null, stdout: '', stderr: '' })
    await driver.stop('sb1')
    await driver.start('sb1')
    assert.equal((await run(driver, 'sb1', ['cat', '/tmp/disk', '/home/user/work/kept'])).stdout, 'disk\nvolume\n')
    await driver.destroy('sb1', [])
    await driver.create('sb1', spec({ volumes }))
    await driver.start('sb1')
    const second = await run(driver, 'sb1', ['cat', '/home/user/work/kept', '/tmp/disk'])
    assert.equal(second.stdout, 'volume\n')
    assert.equal(second.code, 1)
    await driver.destroy('sb1', ['vol1'])
    await driver.create('sb1', spec({ volumes }))
    await driver.start('sb1')
    assert.equal((await run(driver, 'sb1', ['cat', '/home/user/work/kept'])).code, 1)
  })

  exam('puts files under /etc/slopbox, fills in addresses and replaces them live', async ({ spec }, driver) => {
    const file = (path: string, content: string) => ({ path, content, executable: false })
    const files = [file('one', 'first'), file('sub/two', '{{hostAddress}} {{sandboxAddress}}')]
    await driver.create('sb1', spec({ files }))
    await driver.start('sb1')
    const ends = await driver.addresses('sb1')
    const read = (path: string) => run(driver, 'sb1', ['cat', `/etc/slopbox/${path}`])
    assert.equal((await read('sub/two')).stdout, `${ends?.host} ${ends?.sandbox}`)
    await driver.writeFiles('sb1', [file('one', 'second')])
    assert.equal((await read('one')).stdout, 'second')
    assert.equal((await read('sub/two')).code, 1)
    assert.notEqual((await run(driver, 'sb1', ['sh', '-c', 'echo mine > /etc/slopbox/one'])).code, 0)
    await driver.stop('sb1')
    await driver.start('sb1')
    assert.equal((await read('one')).stdout, 'second')
  })
}

function examineLayers(exam: Exam): void {
  exam('exports what a sandbox changed as a layer for others', async ({ spec, emptyDirectory }, driver) => {
    await driver.create('sb1', spec({ power: 'build' }))
    await driver.start('sb1')
    const built = await run(driver, 'sb1', ['sh', '-c', 'echo built > /made; echo ours > /etc/motd'])
    assert.deepEqual(built, { code: 0, signal: null, stdout: '', stderr: '' })
    await driver.stop('sb1')
    const layer = emptyDirectory()
    await driver.exportLayer('sb1', layer)
    await driver.destroy('sb1', [])
    const { template } = spec({})
    await driver.create('sb2', spec({ template: { ...template, layers: [layer, ...template.layers] } }))
    await driver.start('sb2')
    assert.equal((await run(driver, 'sb2', ['cat', '/made', '/etc/motd'])).stdout, 'built\nours\n')
  })
}

function examineExec(exam: Exam): void {
  exam('passes input, both outputs and the exit code', async ({ spec }, driver) => {
    await driver.create('sb1', spec({ env: { GREETING: 'hello' } }))
    await driver.start('sb1')
    const big = 'x'.repeat(300_000)
    assert.deepEqual(await run(driver, 'sb1', ['cat'], { stdin: big }), {
      code: 0,
      signal: null,
      stdout: big,
      stderr: '',
    })
    const script = 'echo "$GREETING $WHO"; pwd; echo bad >&2; exit 7'
    assert.deepEqual(await run(driver, 'sb1', ['sh', '-c', script], { env: { WHO: 'you' }, cwd: '/tmp' }), {
      code: 7,
      signal: null,
      stdout: 'hello you\n/tmp\n',
      stderr: 'bad\n',
    })
  })

  exam('runs as the user that was asked for', async ({ spec }, driver) => {
    await driver.create('sb1', spec({ user: 'user' }))
    await driver.start('sb1')
    assert.equal((await run(driver, 'sb1', ['whoami'])).stdout, 'user\n')
    assert.equal((await run(driver, 'sb1', ['whoami'], { user: 'root' })).stdout, 'root\n')
  })

  exam('answers 127 and says so when there is no such program', async ({ spec }, driver) => {
    await driver.create('sb1', spec({}))
    await driver.start('sb1')
    const missing = await run(driver, 'sb1', ['no-such-program'])
    assert.equal(missing.code, 127)
    assert.match(missing.stderr, /not found/)
  })

  exam('delivers signals and reports them', async ({ spec }, driver) => {
    await driver.create('sb1', spec({}))
    await driver.start('sb1')
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const command = ['sh', '-c', 'echo ready; sleep 600']
      const execution = await driver.exec('sb1', { command, env: {}, cwd: undefined, user: undefined })
      execution.stderr.resume()
      const output = execution.stdout[Symbol.asyncIterator]()
      assert.equal(String((await output.next()).value), 'ready\n')
      execution.kill(signal)
      assert.equal((await output.next()).done, true)
      assert.deepEqual(await execution.exited, { code: null, signal })
    }
  })

  exam('ends running commands when the sandbox stops', async ({ spec }, driver) => {
    await driver.create('sb1', spec({}))
    await driver.start('sb1')
    const command = run(driver, 'sb1', ['sleep', '600'])
    await driver.stop('sb1')
    const end = await command
    assert.ok(end.code !== 0 || end.signal !== null)
  })
}

function examineStart(exam: Exam): void {
  const start = (command: string[]) => ({ start: { command, stopGraceMs: 200 } })

  exam('runs the start command, keeps its output and reports how it ended', async ({ spec }, driver) => {
    await driver.create('sb1', spec(start(['sh', '-c', 'echo one; echo two >&2; exit 3'])))
    await driver.start('sb1')
    assert.deepEqual((await untilStopped(driver, 'sb1')).exit, { code: 3, signal: null, outOfMemory: false })
    const read = async (tail: number): Promise<LogLine[]> =>
      Array.fromAsync(driver.logs('sb1', { tail, follow: false, signal: never }))
    const lines = await read(10)
    assert.deepEqual(
      lines.map((line) => line.text),
      ['one', 'two'],
    )
    assert.ok(lines.every((line) => !Number.isNaN(Date.parse(line.at))))
    assert.deepEqual(
      (await read(1)).map((line) => line.text),
      ['two'],
    )
    await driver.start('sb1')
    assert.equal((await untilStopped(driver, 'sb1')).exit?.code, 3)
    assert.equal((await read(10)).length, 4)
  })

  exam('follows the output until it is told to stop', async ({ spec }, driver) => {
    await driver.create('sb1', spec(start(['sh', '-c', 'echo early; sleep 0.3; echo late; sleep 600'])))
    await driver.start('sb1')
    const leave = new AbortController()
    const seen: string[] = []
    for await (const line of driver.logs('sb1', { tail: 10, follow: true, signal: leave.signal })) {
      seen.push(line.text)
      if (line.text === 'late') leave.abort()
    }
    assert.deepEqual(seen, ['early', 'late'])
  })

  exam('stops a start command that does not want to stop', async ({ spec }, driver) => {
    await driver.create('sb1', spec(start(['sh', '-c', "trap '' TERM; sleep 600"])))
    await driver.start('sb1')
    await driver.stop('sb1')
    assert.deepEqual((await stateOf(driver, 'sb1'))?.exit, null)
    assert.equal((await stateOf(driver, 'sb1'))?.state, 'stopped')
  })

  exam('says when the memory limit ended the start command', async ({ spec, hog }, driver) => {
    await driver.create('sb1', spec({ ...start(hog), size: { cpus: 1, memoryMiB: 64, diskGiB: 1 } }))
    await driver.start('sb1')
    assert.deepEqual((await untilStopped(driver, 'sb1')).exit, { code: null, signal: 'SIGKILL', outOfMemory: true })
  })

  exam('connects to a port inside', async ({ spec, echoServer }, driver) => {
    await driver.create('sb1', spec(start(echoServer(7777))))
    await driver.start('sb1')
    await assert.rejects(driver.dial('sb1', 7778, never), codeIs('upstream_failed'))
    const socket = await until('the server listens', () =>
      driver.dial('sb1', 7777, never).catch((error: unknown) => {
        if (!codeIs('upstream_failed')(error)) throw error
        return undefined
      }),
    )
    socket.write('there and back')
    const [answer] = await Array.fromAsync(socket.take(1) as AsyncIterable<Buffer>)
    assert.equal(String(answer), 'there and back')
    socket.destroy()
  })

  exam('counts CPU time that only grows while its epoch lasts', async ({ spec }, driver) => {
    await driver.create('sb1', spec({}))
    const readings = [await driver.usage('sb1')]
    for (let round = 0; round < 2; round++) {
      await driver.start('sb1')
      await run(driver, 'sb1', ['sh', '-c', 'echo work'])
      readings.push(await driver.usage('sb1'))
      await driver.stop('sb1')
      readings.push(await driver.usage('sb1'))
    }
    const last = readings.at(-1)
    assert.ok(readings.every((reading, index) => index === 0 || reading.cpuMs >= (readings[index - 1]?.cpuMs ?? 0)))
    assert.equal(new Set(readings.slice(1).map((reading) => reading.epoch)).size, 1)
    assert.ok((readings[1]?.memoryBytes ?? 0) > 0)
    assert.deepEqual([(last?.cpuMs ?? 0) > 0, last?.memoryBytes], [true, 0])
  })
}

function examineCrash(exam: Exam): void {
  exam('takes over running and stopped sandboxes after a crash', async ({ spec, reopen }, driver) => {
    await driver.create('sb1', spec({}))
    await driver.create('sb2', spec({}))
    await driver.start('sb1')
    await run(driver, 'sb1', ['tee', '/tmp/kept'], { stdin: 'kept' })
    const before = await driver.list()
    const used = await driver.usage('sb1')
    const next = (await reopen()) as Whole
    assert.deepEqual(await next.list(), before)
    assert.equal((await run(next, 'sb1', ['cat', '/tmp/kept'])).stdout, 'kept')
    const after = await next.usage('sb1')
    assert.equal(after.epoch, used.epoch)
    assert.ok(after.cpuMs >= used.cpuMs)
    await next.start('sb2')
    await next.stop('sb1')
    await next.destroy('sb1', [])
    await next.destroy('sb2', [])
    assert.equal((await next.list()).size, 0)
  })

  exam('tells how a start command ended while nobody looked', async ({ spec, reopen }, driver) => {
    const start = { command: ['sh', '-c', 'sleep 0.2; exit 5'], stopGraceMs: 0 }
    await driver.create('sb1', spec({ start }))
    await driver.start('sb1')
    const next = await reopen()
    assert.equal((await untilStopped(next, 'sb1')).exit?.code, 5)
  })
}
