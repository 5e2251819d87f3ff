import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { newId } from '../contract/ids.ts'
import { syncHost } from '../contract/sync.ts'
import { silentLog, type Log } from '../lib/log.ts'
import { startSync, type HostReply, type HostReport } from './sync.ts'
import { temporary, wanted } from './testing.ts'

interface Asked {
  body: HostReport & { hash: string | null }
  authorization: string | undefined
  answer(reply: HostReply): void
  /** Resolves when the caller gave up. */
  gone: Promise<void>
}

/** A control whose every answer the test gives itself. */
async function control(socketPath: string) {
  const queue: Asked[] = []
  const waiting: ((asked: Asked) => void)[] = []
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    void request.toArray().then((chunks) => {
      const json: unknown = JSON.parse(Buffer.concat(chunks as Buffer[]).toString())
      const gone = Promise.withResolvers<void>()
      response.once('close', () => gone.resolve())
      const asked: Asked = {
        body: syncHost.body.parse(json) as Asked['body'],
        authorization: request.headers.authorization,
        answer: (reply) => void response.end(JSON.stringify(reply)),
        gone: gone.promise,
      }
      const first = waiting.shift()
      if (first === undefined) queue.push(asked)
      else first(asked)
    })
  })
  server.listen(socketPath)
  await once(server, 'listening')
  return {
    next: (): Promise<Asked> => {
      const first = queue.shift()
      return first === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(first)
    },
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

const hostId = newId('host')
const reply = (hash: string, change: Partial<HostReply> = {}): HostReply => ({
  hash,
  hostId,
  sandboxes: [],
  templates: [],
  ...change,
})

function client(socketPath: string, log: Log = silentLog) {
  const applied: HostReply[] = []
  const accepted: HostReport[] = []
  const wakes: (() => void)[] = []
  const state = { name: 'one', away: 0, full: false }
  const sync = startSync({
    client: { socketPath, token: 'secret-token' },
    report: () => ({
      name: state.name,
      version: '1',
      drivers: [],
      capacity: { cpus: 1, memoryMiB: 1, diskGiB: 1 },
      registries: [],
      sandboxes: [],
      templates: [],
      readings: [],
    }),
    apply(next) {
      applied.push(next)
      wakes.shift()?.()
    },
    accepted: (report) => void accepted.push(report),
    onAway: () => void (state.away += 1),
    hasSandboxes: () => state.full,
    log,
    random: () => 0,
  })
  return { sync, applied, accepted, state, nextApplied: () => new Promise<void>((resolve) => wakes.push(resolve)) }
}

test('everything is asked for first, then held until something changes', async () => {
  using directory = temporary()
  const server = await control(join(directory.path, 's'))
  const { sync, applied, accepted } = client(join(directory.path, 's'))
  const first = await server.next()
  assert.equal(first.body.hash, null)
  assert.equal(first.authorization, 'Bearer secret-token')
  first.answer(reply('h1', { sandboxes: [wanted()] }))
  const second = await server.next()
  assert.equal(second.body.hash, 'h1')
  second.answer(reply('h1', { sandboxes: [wanted()] }))
  const third = await server.next()
  assert.equal(third.body.hash, 'h1')
  assert.equal(applied.length, 1, 'an unchanged answer is not applied again')
  assert.equal(accepted.length, 2, 'but it says that the report was stored')
  await sync[Symbol.asyncDispose]()
  await third.gone
  await server.close()
})

test('news ends the held request and is said in the next one', async () => {
  using directory = temporary()
  const server = await control(join(directory.path, 's'))
  const { sync, state } = client(join(directory.path, 's'))
  ;(await server.next()).answer(reply('h1'))
  const held = await server.next()
  state.name = 'two'
  sync.changed()
  await held.gone
  const next = await server.next()
  assert.equal(next.body.name, 'two')
  assert.equal(next.body.hash, 'h1')
  await sync[Symbol.asyncDispose]()
  await server.close()
})

test('news that may wait go with what follows, or by themselves when their time is over', async () => {
  using directory = temporary()
  const server = await control(join(directory.path, 's'))
  const { sync, state } = client(join(directory.path, 's'))
  ;(await server.next()).answer(reply('h1'))
  const held = await server.next()
  state.name = 'a step on the way'
  sync.changed(60_000)
  state.name = 'the end of it'
  sync.changed()
  await held.gone
  const next = await server.next()
  assert.equal(next.body.name, 'the end of it')
  state.name = 'readings'
  sync.changed(1)
  await next.gone
  assert.equal((await server.next()).body.name, 'readings')
  await sync[Symbol.asyncDispose]()
  await server.close()
})

test('a stream of news does not keep control from answering', async () => {
  using directory = temporary()
  const server = await control(join(directory.path, 's'))
  const { sync, nextApplied } = client(join(directory.path, 's'))
  const applied = nextApplied()
  let done = false
  void applied.then(() => (done = true))
  const serve = async (): Promise<void> => {
    while (!done) {
      const asked = await server.next()
      // An answer that takes a while, with news all the time meanwhile.
      const slow = new AbortController()
      void asked.gone.then(() => slow.abort())
      for (let i = 0; i < 40 && !slow.signal.aborted; i++) {
        sync.changed()
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
      if (!slow.signal.aborted) asked.answer(reply('h1'))
    }
  }
  void serve()
  await applied
  await sync[Symbol.asyncDispose]()
  await server.close()
})

test('while control is away it is said once, nothing is applied, and everything is asked for again', async () => {
  using directory = temporary()
  const path = join(directory.path, 's')
  const lines: string[] = []
  const heard = Promise.withResolvers<void>()
  const back = Promise.withResolvers<void>()
  const log: Log = {
    ...silentLog,
    warn: (_fields, message) => {
      lines.push(message)
      heard.resolve()
    },
    info: (_fields, message) => {
      lines.push(message)
      back.resolve()
    },
  }
  const first = await control(path)
  const { sync, applied, state } = client(path, log)
  ;(await first.next()).answer(reply('h1', { sandboxes: [wanted()] }))
  await first.next()
  await first.close()
  await heard.promise
  assert.equal(applied.length, 1)
  const second = await control(path)
  const asked = await second.next()
  assert.equal(asked.body.hash, null)
  asked.answer(reply('h1', { sandboxes: [wanted()] }))
  await back.promise
  assert.equal(lines.length, 2, lines.join('; '))
  assert.ok(state.away >= 1)
  await sync[Symbol.asyncDispose]()
  await second.close()
})

test('an empty answer where there are sandboxes is asked for again before it counts', async () => {
  using directory = temporary()
  const server = await control(join(directory.path, 's'))
  const { sync, applied, state } = client(join(directory.path, 's'))
  state.full = true
  ;(await server.next()).answer(reply('empty'))
  const again = await server.next()
  assert.equal(again.body.hash, null)
  assert.equal(applied.length, 0)
  again.answer(reply('full', { sandboxes: [wanted()] }))
  const third = await server.next()
  assert.deepEqual([applied.length, applied[0]?.hash, third.body.hash], [1, 'full', 'full'])
  third.answer(reply('empty'))
  ;(await server.next()).answer(reply('empty'))
  const last = await server.next()
  assert.deepEqual([applied.length, last.body.hash], [2, 'empty'], 'said twice it is true')
  await sync[Symbol.asyncDispose]()
  await server.close()
})
