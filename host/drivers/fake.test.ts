import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { SlopboxError } from '../../contract/errors.ts'
import type { DriverSpec } from '../driver.ts'
import { examineDriver } from './driver.exam.ts'
import { fakeDriver, FakeWorld } from './fake.ts'

const spec = (changes: Partial<DriverSpec>): DriverSpec => ({
  template: { key: 'fake', layers: [], env: {}, user: 'root', cwd: '/' },
  isolation: 'container',
  size: { cpus: 1, memoryMiB: 256, diskGiB: 1 },
  env: {},
  user: null,
  cwd: null,
  start: null,
  files: [],
  volumes: [],
  power: 'none',
  ...changes,
})

examineDriver('fake', async () => {
  const world = new FakeWorld()
  const directory = mkdtempSync(join(tmpdir(), 'slopbox-fake-'))
  return {
    driver: fakeDriver(world),
    reopen: async () => fakeDriver(world),
    spec,
    echoServer: (port) => ['echo-server', String(port)],
    hog: ['hog'],
    emptyDirectory: () => mkdtempSync(join(directory, 'layer-')),
    isGone: async (id) => !world.sandboxes.has(id),
    async [Symbol.asyncDispose]() {
      for (const sandbox of world.sandboxes.values()) sandbox.life.abort()
      rmSync(directory, { recursive: true })
    },
  }
})

for (const verb of ['create', 'start', 'stop', 'destroy', 'exec', 'dial'] as const) {
  test(`the fake driver fails at ${verb} when the template or the environment says so`, async () => {
    for (const told of [
      spec({ template: { ...spec({}).template, key: `fake/${verb}-fails` } }),
      spec({ env: { FAKE_FAILS: verb } }),
    ]) {
      const driver = fakeDriver()
      const failure = async (): Promise<void> => {
        await driver.create('sb1', told)
        await driver.start('sb1')
        await driver.exec?.('sb1', { command: ['true'], env: {}, cwd: undefined, user: undefined })
        await driver.dial?.('sb1', 80, new AbortController().signal)
        await driver.stop('sb1')
        await driver.destroy('sb1', [])
      }
      await assert.rejects(
        failure,
        (error) => error instanceof SlopboxError && error.message === `sandbox sb1: ${verb} was told to fail`,
      )
    }
  })
}

test('a running fake sandbox answers HTTP on port 80', async () => {
  const driver = fakeDriver()
  await driver.create('sb1', spec({}))
  await driver.start('sb1')
  const socket = await driver.dial?.('sb1', 80, new AbortController().signal)
  assert.ok(socket)
  const call = get({ createConnection: () => socket, path: '/', headers: { host: 'sb1' } })
  const [response] = (await once(call, 'response')) as [IncomingMessage]
  const answer = await text(response)
  assert.equal(answer, 'hello from sb1\n')
})
