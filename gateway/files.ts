/** Files of sandboxes: each operation is one call of the host; content is streamed through, never held. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { errorFromWire, SlopboxError } from '../contract/errors.ts'
import * as api from '../contract/files.ts'
import type { Input, Route } from '../contract/route.ts'
import { channels, type FileCall } from '../contract/tunnel.ts'
import { encodeFrame, encodeJsonFrame, readFrames, writeAll, writeFrames } from '../lib/frames.ts'
import { appCredentials } from './enter.ts'
import type { Grant } from './grants.ts'
import { answerJson } from './stream-answer.ts'
import type { Serve, StreamDeps } from './stream-answer.ts'
import { readInput } from './stream-input.ts'
import type { Visit } from './visit.ts'

type Call = FileCall extends infer C ? (C extends { sandboxId: string } ? Omit<C, 'sandboxId'> : never) : never

async function open(
  deps: StreamDeps,
  visit: Visit,
  params: Record<string, string>,
  call: Call,
): Promise<{ grant: Grant; stream: Duplex }> {
  const target = { kind: 'sandbox', sandboxId: params['id'] ?? '' } as const
  const grant = await deps.authorizer.ask(appCredentials(visit), target, visit.gone)
  const frame = encodeJsonFrame(channels.control, { ...call, sandboxId: grant.sandboxId })
  return { grant, stream: await deps.dialler.files(grant, frame, visit.gone) }
}

/** An operation that is answered with the host's one JSON value. */
function ask<R extends Route>(route: R, callOf: (input: Input<R>) => Call): { route: Route; serve: Serve } {
  const serve: Serve = async (deps, visit, response, params) => {
    const { stream } = await open(deps, visit, params, callOf(await readInput(route, visit, params)))
    stream.end()
    answerJson(visit, response, route.status, route.reply.parse(JSON.parse(await text(stream))))
  }
  return { route, serve }
}

/** Runs while the grant holds; its end cuts the stream. */
async function during(deps: StreamDeps, grant: Grant, stream: Duplex, work: () => Promise<void>): Promise<void> {
  const use = deps.grants.use(grant, () =>
    stream.destroy(new SlopboxError('forbidden', 'access to this sandbox ended')),
  )
  try {
    await work()
  } finally {
    use.release()
    stream.destroy()
  }
}

const read: Serve = async (deps, visit, response, params) => {
  const { query } = await readInput(api.readFile, visit, params)
  const { grant, stream } = await open(deps, visit, params, { op: 'read', ...query })
  stream.end()
  await during(deps, grant, stream, async () => {
    const size = await readSize(stream)
    response.writeHead(200, {
      'content-type': 'application/octet-stream',
      'content-length': size,
      // Written by strangers: never shown as a page of ours.
      'content-disposition': 'attachment',
      'content-security-policy': "default-src 'none'; sandbox",
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
      'x-request-id': visit.requestId,
    })
    await pipeline(stream, (from: AsyncIterable<Buffer>) => exactly(size, from), response)
  })
}

/** The eight bytes before the content. */
async function readSize(stream: Duplex): Promise<number> {
  let bytes = Buffer.alloc(0)
  for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes = Buffer.concat([bytes, chunk])
    if (bytes.length < 8) continue
    stream.unshift(bytes.subarray(8))
    return Number(bytes.readBigUInt64BE())
  }
  throw new SlopboxError('unavailable', 'the host closed the stream before the file was read')
}

/** Fails, and with it the answer, when there is less than was announced. */
async function* exactly(size: number, from: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let left = size
  for await (const chunk of from) {
    left -= chunk.length
    yield chunk
  }
  if (left !== 0) throw new SlopboxError('unavailable', 'the host closed the stream before the file was read')
}

const write: Serve = async (deps, visit, response, params) => {
  const { query } = await readInput(api.writeFile, visit, params)
  const { grant, stream } = await open(deps, visit, params, { op: 'write', ...query })
  await during(deps, grant, stream, async () => {
    const outcome = readOutcome(stream)
    // The host may answer before it has everything: a full disk need not wait for the rest.
    const sent = sendContent(visit.request, stream)
    await Promise.race([outcome, sent.then(() => outcome)])
    answerJson(visit, response, 200, await outcome)
  })
}

async function sendContent(request: IncomingMessage, stream: Duplex): Promise<void> {
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>)
    if (chunk.length > 0) await writeFrames(stream, channels.stdin, chunk)
  if (!request.complete) throw new SlopboxError('invalid_request', 'the content broke off')
  await writeAll(stream, encodeFrame(channels.stdinEnd, Buffer.alloc(0)))
}

async function readOutcome(stream: Duplex): Promise<api.FileInfo> {
  for await (const { channel, payload } of readFrames(stream)) {
    if (channel !== channels.control) continue
    const value: unknown = JSON.parse(payload.toString('utf8'))
    const error = errorFromWire(value)
    if (error !== undefined) throw error
    return api.FileInfo.parse(value)
  }
  throw new SlopboxError('unavailable', 'the host closed the stream before the file was written')
}

export const fileRoutes: readonly { route: Route; serve: Serve }[] = [
  { route: api.readFile, serve: read },
  { route: api.writeFile, serve: write },
  ask(api.statFile, ({ query }) => ({ op: 'stat', ...query })),
  ask(api.listFiles, ({ query }) => ({ op: 'list', ...query })),
  ask(api.makeDirectory, ({ body }) => ({ op: 'mkdir', ...body })),
  ask(api.moveFile, ({ body }) => ({ op: 'move', ...body })),
  ask(api.changeMode, ({ body }) => ({ op: 'chmod', ...body })),
  ask(api.changeOwner, ({ body }) => ({ op: 'chown', ...body })),
  ask(api.removeFile, ({ query }) => ({ op: 'remove', ...query })),
]
