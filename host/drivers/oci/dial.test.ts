import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { dialAddress } from './dial.ts'

test('a deadline that passes after connecting leaves the connection alone', async (t) => {
  const server = createServer((socket) => void socket.pipe(socket)).listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const deadline = new AbortController()
  const socket = await dialAddress('127.0.0.1', (server.address() as AddressInfo).port, deadline.signal)
  deadline.abort()
  socket.write('still here')
  const [echo] = (await once(socket, 'data')) as [Buffer]
  assert.equal(echo.toString(), 'still here')
  socket.destroy()
})

test('a deadline that has passed ends the attempt', async () => {
  await assert.rejects(dialAddress('127.0.0.1', 1, AbortSignal.abort()), { code: 'upstream_failed' })
})

test('a closed port is named', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  await assert.rejects(dialAddress('127.0.0.1', port, new AbortController().signal), new RegExp(`port ${port}`))
})
