import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { duplexPair } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { test } from 'node:test'
import type { FileInfo } from '../../../contract/files.ts'
import { channels, type FileCall } from '../../../contract/tunnel.ts'
import { encodeFrame, encodeJsonFrame, readFrames, writeFrames } from '../../../lib/frames.ts'
import { silentLog } from '../../../lib/log.ts'
import { openTunnel, serveTunnel } from '../../../lib/tunnel.ts'
import { Commands } from '../../commands.ts'
import { serveStreams } from '../../tunnel.ts'
import { whyNoOci } from './probe.ts'
import { ociWorld } from './testing.ts'

const never = new AbortController().signal
type Call = FileCall extends infer C ? (C extends { sandboxId: string } ? Omit<C, 'sandboxId'> : never) : never

for (const runtime of ['crun', 'runc'] as const) {
  const reason = whyNoOci(runtime)
  const options = reason === undefined ? {} : { skip: reason }

  const open = async () => {
    const world = await ociWorld(runtime)
    const { driver } = world
    await driver.create('sb1', world.spec({ user: 'user' }))
    await driver.start('sb1')
    const [left, right] = duplexPair()
    const commands = new Commands({ driver, log: silentLog })
    const host = serveTunnel(left, serveStreams({ driver, commands, log: silentLog }))
    const tunnel = openTunnel(right)
    const begin = (call: Call, signal = never) =>
      tunnel.open(
        { ':method': 'POST', ':path': '/files' },
        { signal, preface: encodeJsonFrame(channels.control, { ...call, sandboxId: 'sb1' }) },
      )
    const ask = async (call: Call) => JSON.parse(await text(await begin(call))) as FileInfo & { items: FileInfo[] }
    const read = async (path: string, user?: string) => {
      const bytes = await buffer(await begin({ op: 'read', path, ...(user === undefined ? {} : { user }) }))
      assert.equal(Number(bytes.readBigUInt64BE()), bytes.length - 8)
      return bytes.subarray(8)
    }
    const write = async (path: string, content: Buffer | string, more: object = {}) => {
      const stream = await begin({ op: 'write', path, append: false, ...more })
      await writeFrames(stream, channels.stdin, Buffer.from(content))
      stream.end(encodeFrame(channels.stdinEnd, Buffer.alloc(0)))
      const { value } = await readFrames(stream).next()
      return JSON.parse(value?.payload.toString() ?? '{}') as FileInfo & { error?: { code: string } }
    }
    return {
      world,
      begin,
      ask,
      read,
      write,
      async [Symbol.asyncDispose]() {
        await tunnel[Symbol.asyncDispose]()
        await host[Symbol.asyncDispose]()
        await world[Symbol.asyncDispose]()
      },
    }
  }

  test(`${runtime}: what is written is read again, belongs to the user, and is listed and moved`, options, async () => {
    await using w = await open()
    const big = Buffer.alloc(3_000_000, 'abcdefg')
    const name = '/home/user/a\n"b" \u{1f600}'
    const written = await w.write(name, big, { mode: '640' })
    assert.deepEqual([written.path, written.size, written.mode, written.uid], [name, big.length, '640', 1000])
    assert.ok((await w.read(name)).equals(big))
    await w.write(name, 'short')
    assert.equal((await w.ask({ op: 'stat', path: name })).mode, '640')
    await w.write(name, '!', { append: true })
    assert.equal((await w.read(name)).toString(), 'short!')
    await w.ask({ op: 'mkdir', path: '/home/user/d/e' })
    await w.ask({ op: 'move', from: name, to: '/home/user/d/e/f' })
    const { items } = await w.ask({ op: 'list', path: '/home/user', depth: 3 })
    assert.deepEqual(
      items.map(({ path, type }) => [path, type]),
      [
        ['/home/user/d', 'directory'],
        ['/home/user/d/e', 'directory'],
        ['/home/user/d/e/f', 'file'],
      ],
    )
    await assert.rejects(w.ask({ op: 'remove', path: '/home/user/d', recursive: false }), { code: 'conflict' })
    await w.ask({ op: 'remove', path: '/home/user/d', recursive: true })
    await assert.rejects(w.ask({ op: 'stat', path: '/home/user/d' }), { code: 'not_found' })
  })

  test(`${runtime}: links and dots lead to the sandbox's own root and never to the machine's`, options, async () => {
    await using w = await open()
    const outside = join(w.world.options.dataDir, 'outside')
    writeFileSync(outside, 'of the machine')
    const up = '../'.repeat(30)
    const links = {
      abs: outside,
      dots: up + outside.slice(1),
      root: '/',
      proc: '/proc/1/root',
      self: '/proc/self/root',
    }
    const script = Object.entries(links).map(([from, to]) => `symlink '${to}', '/tmp/${from}' or die $!;`)
    const made = await w.world.driver.exec('sb1', {
      command: ['perl', '-e', script.join('')],
      env: {},
      cwd: undefined,
      user: 'root',
    })
    made.stdin.end()
    assert.equal(await text(made.stderr), '')
    for (const path of [
      outside,
      '/tmp/abs',
      '/tmp/dots',
      ...['root', 'proc', 'self'].map((l) => `/tmp/${l}${outside}`),
    ])
      for (const user of ['root', 'user'])
        await assert.rejects(w.begin({ op: 'read', path, user }), ({ code }) =>
          ['not_found', 'forbidden'].includes(code),
        )
    await assert.rejects(w.write('/tmp/abs', 'mine', { user: 'root' }), { code: 'not_found' })
    assert.equal(readFileSync(outside, 'utf8'), 'of the machine')
  })

  test(`${runtime}: wrong targets are refused with what they are`, options, async () => {
    await using w = await open()
    const refused: [Call, string][] = [
      [{ op: 'read', path: '/home/user' }, 'conflict'],
      [{ op: 'read', path: '/dev/null' }, 'invalid_request'],
      [{ op: 'read', path: '/nothing' }, 'not_found'],
      [{ op: 'list', path: '/etc/passwd', depth: 1 }, 'conflict'],
      [{ op: 'write', path: '/home/user', append: false }, 'conflict'],
      [{ op: 'write', path: '/home/none/x', append: false }, 'not_found'],
      [{ op: 'write', path: '/etc/passwd', append: true }, 'forbidden'],
      [{ op: 'mkdir', path: '/etc/passwd/x' }, 'conflict'],
      [{ op: 'chmod', path: '/etc/passwd', mode: '777' }, 'forbidden'],
      [{ op: 'chown', path: '/home/user', uid: 0, gid: 0 }, 'forbidden'],
      [{ op: 'remove', path: '/etc/passwd', recursive: true }, 'forbidden'],
      [{ op: 'stat', path: '/', user: 'nobody-there' }, 'invalid_request'],
    ]
    for (const [call, code] of refused)
      await assert.rejects(w.begin(call), { code }, `${JSON.stringify(call)} should be ${code}`)
    await w.ask({ op: 'chown', path: '/home/user', uid: 7, gid: 8, user: 'root' })
    assert.equal((await w.ask({ op: 'stat', path: '/home/user' })).uid, 7)
  })

  test(`${runtime}: a write that breaks off leaves the old file and nothing beside it`, options, async () => {
    await using w = await open()
    await w.write('/home/user/f', 'old')
    const abort = new AbortController()
    const stream = await w.begin({ op: 'write', path: '/home/user/f', append: false }, abort.signal)
    await writeFrames(stream, channels.stdin, Buffer.from('new'))
    const closed = new Promise((resolve) => stream.once('close', resolve))
    abort.abort()
    await closed
    for (;;) {
      const { items } = await w.ask({ op: 'list', path: '/home/user', depth: 1 })
      if (items.length === 1) break
    }
    assert.equal((await w.read('/home/user/f')).toString(), 'old')
  })
}
