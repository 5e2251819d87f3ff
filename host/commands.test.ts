import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keptOutputBytes, maxEndedCommands, maxRunningCommands, type CommandRequest } from '../contract/commands.ts'
import { silentLog } from '../lib/log.ts'
import { Commands, type OutputEvent } from './commands.ts'
import { OutputRing } from './output-ring.ts'
import { mapDriver, wanted, type PlayedExec } from './testing.ts'

const never = new AbortController().signal
const request = (change: Partial<CommandRequest> = {}): CommandRequest => ({
  command: ['run'],
  env: {},
  keepStdin: false,
  timeoutMs: null,
  ...change,
})

async function world() {
  const map = mapDriver()
  const spec = {
    ...wanted().spec,
    template: { key: 'k', layers: [], env: {}, user: 'u', cwd: '/' },
    power: 'none',
  } as const
  await map.driver.create('sb1', spec)
  await map.driver.start('sb1')
  const commands = new Commands({ driver: map.driver, log: silentLog })
  const start = async (change: Partial<CommandRequest> = {}) => {
    const played = new Promise<PlayedExec>((resolve) => (map.handlers.exec = resolve))
    const command = await commands.start('sb1', request(change))
    return { command, played: await played }
  }
  return { map, commands, start, [Symbol.asyncDispose]: () => commands[Symbol.asyncDispose]() }
}

const texts = (events: readonly OutputEvent[]): unknown[] =>
  events.map((event) => ('bytes' in event ? [event.name, event.start, event.bytes.toString()] : event))

test('a reader that comes late gets what was written before and what comes after, then the exit', async () => {
  await using w = await world()
  const { command, played } = await w.start()
  assert.equal(command.state, 'running')
  played.stdout.write('one')
  while (w.commands.list('sb1')[0]?.outputBytes !== 3) await new Promise(setImmediate)
  const reading = Array.fromAsync(w.commands.output('sb1', command.id, 1, never))
  played.stderr.write('two')
  while (w.commands.list('sb1')[0]?.outputBytes !== 6) await new Promise(setImmediate)
  played.end(3)
  const exit = { code: 3, signal: null, reason: 'exited' }
  assert.deepEqual(texts(await reading), [['stdout', 1, 'ne'], ['stderr', 3, 'two'], { exit }])
  const ended = await w.commands.get('sb1', command.id, 0, never)
  assert.deepEqual([ended.state, ended.exit, ended.outputBytes, ended.droppedBytes], ['ended', exit, 6, 0])
  assert.deepEqual(texts(await Array.fromAsync(w.commands.output('sb1', command.id, 6, never))), [{ exit }])
})

test('nobody reading never holds a command back: the oldest output is dropped and counted', async () => {
  await using w = await world()
  const { command, played } = await w.start()
  const block = Buffer.alloc(64 * 1024, 'x')
  const blocks = (keptOutputBytes / block.length) * 3
  for (let n = 0; n < blocks; n++)
    if (!played.stdout.write(block)) await new Promise((resolve) => played.stdout.once('drain', resolve))
  played.end(0)
  const { droppedBytes, outputBytes } = await w.commands.get('sb1', command.id, 60_000, never)
  assert.deepEqual([outputBytes, droppedBytes], [blocks * block.length, blocks * block.length - keptOutputBytes])
  const events = await Array.fromAsync(w.commands.output('sb1', command.id, 10, never))
  assert.deepEqual(events[0], { dropped: droppedBytes - 10 })
  const kept = events.reduce((sum, event) => sum + ('bytes' in event ? event.bytes.length : 0), 0)
  assert.equal(kept, keptOutputBytes)
})

test('input arrives in pieces until it is closed, and is refused after that', async () => {
  await using w = await world()
  const { command, played } = await w.start({ keepStdin: true })
  w.commands.input('sb1', command.id, Buffer.from('a'), false)
  w.commands.input('sb1', command.id, Buffer.from('b'), true)
  assert.equal(Buffer.concat(await played.stdin.toArray()).toString(), 'ab')
  assert.throws(() => w.commands.input('sb1', command.id, Buffer.from('c'), false), { code: 'wrong_state' })
})

test('input that is not read is refused at a limit', async () => {
  await using w = await world()
  const { command } = await w.start({ keepStdin: true })
  const fill = (): void => {
    for (let n = 0; n < 100; n++) w.commands.input('sb1', command.id, Buffer.alloc(128 * 1024), false)
  }
  assert.throws(fill, { code: 'too_large' })
})

test('signals arrive; kill and timeout end a command and say which it was', async () => {
  await using w = await world()
  const first = await w.start()
  w.commands.signal('sb1', first.command.id, 'SIGINT')
  assert.throws(() => w.commands.signal('sb1', first.command.id, 'SIGNONSENSE'), { code: 'invalid_request' })
  const killed = await w.commands.kill('sb1', first.command.id)
  assert.deepEqual(first.played.signals, ['SIGINT', 'SIGKILL'])
  assert.equal(killed.exit?.reason, 'killed')
  assert.throws(() => w.commands.signal('sb1', first.command.id, 'SIGINT'), { code: 'wrong_state' })
  const late = await w.start({ timeoutMs: 1 })
  assert.equal((await w.commands.get('sb1', late.command.id, 60_000, never)).exit?.reason, 'timeout')
})

test('a command that is not there, also in another sandbox, is not found', async () => {
  await using w = await world()
  const { command } = await w.start()
  for (const [sandbox, id] of [
    ['sb1', 'cm0'],
    ['sb2', command.id],
  ] as const) {
    await assert.rejects(w.commands.get(sandbox, id, 0, never), { code: 'not_found' })
    assert.throws(() => w.commands.output(sandbox, id, 0, never), { code: 'not_found' })
    await assert.rejects(w.commands.kill(sandbox, id), { code: 'not_found' })
  }
  assert.throws(() => w.commands.output('sb1', command.id, 1, never), { code: 'invalid_request' })
})

test('the number of running commands is limited, and so are the ended ones that are kept', async () => {
  await using w = await world()
  w.map.handlers.exec = () => {}
  for (let n = 0; n < maxRunningCommands; n++) await w.commands.start('sb1', request())
  await assert.rejects(w.commands.start('sb1', request()), { code: 'rate_limited' })
  for (const { id } of w.commands.list('sb1')) await w.commands.kill('sb1', id)
  for (let n = 0; n < 5; n++) await w.commands.kill('sb1', (await w.commands.start('sb1', request())).id)
  assert.equal(w.commands.list('sb1').length, maxEndedCommands)
})

test('the end of the host ends its commands', async () => {
  const w = await world()
  const { played } = await w.start()
  await w[Symbol.asyncDispose]()
  assert.deepEqual(played.signals, ['SIGKILL'])
})

test('a ring keeps exactly its limit, also within a piece', () => {
  const ring = new OutputRing(4)
  ring.add('stdout', Buffer.from('abc'))
  ring.add('stderr', Buffer.from('def'))
  assert.deepEqual(texts(ring.from(0)), [
    ['stdout', 2, 'c'],
    ['stderr', 3, 'def'],
  ])
  ring.add('stdout', Buffer.from('0123456789'))
  assert.deepEqual([texts(ring.from(0)), ring.start, ring.end], [[['stdout', 12, '6789']], 12, 16])
})
