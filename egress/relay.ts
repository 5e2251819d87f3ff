import type { IncomingMessage } from 'node:http'
import type { Exchange } from './exchange.ts'
import { endToEndResponse } from './http-gate.ts'
import { createUsageReader, type UsageReader } from './model-usage.ts'
import { createScrubber, scrubText } from './scrub.ts'

/**
 * Passes an answer back: counted, freed of secrets, read for model usage, each before the bytes go on. Resolves when the
 * client has it or has left; by then the record is written, before the end of the answer.
 */
export async function relay(exchange: Exchange, answer: IncomingMessage): Promise<void> {
  const { flow, secrets, route } = exchange
  const values = secrets.map(({ value }) => value)
  const headers = endToEndResponse(answer.rawHeaders).map(([name, value]): [string, string] => [
    name,
    values.length === 0 ? value : scrubText(value, values),
  ])
  const status = answer.statusCode ?? 502
  flow.record.status = status
  flow.pass(
    'in',
    headers.reduce((sum, [name, value]) => sum + name.length + value.length + 4, 19),
  )
  const response = exchange.reply()
  response.sendDate = false
  response.writeHead(status, scrubText(answer.statusMessage ?? '', values), headers.flat())
  const eventStream = /^text\/event-stream\b/i.test(answer.headers['content-type'] ?? '')
  // Whoever waits for events must see that they were accepted; other answers go out with their first bytes.
  if (eventStream) response.flushHeaders()

  const api = route.alias?.modelApi ?? null
  const reader = api === null ? undefined : createUsageReader(api, eventStream)
  const scrubber = createScrubber(values)
  // A JSON answer is understood only at its end, so its last chunk waits until it is counted.
  const holdLast = reader !== undefined && !eventStream
  let held: Buffer | undefined

  await new Promise<void>((resolve) => {
    const finish = (broken: 'upstream' | 'client' | null): void => {
      if (broken !== null) flow.record.detail['broken'] = broken
      if (reader !== undefined) flow.model(reader.end())
      noteUse(exchange, reader, scrubber.found)
      flow.end()
      if (broken === null) response.end(Buffer.concat([held ?? Buffer.alloc(0), scrubber.flush()]))
      else response.destroy()
      resolve()
    }
    answer.on('data', (chunk: Buffer) => {
      flow.pass('in', chunk.length)
      if (reader !== undefined) flow.model(reader.push(chunk))
      const clean = scrubber.push(chunk)
      const next = holdLast ? held : clean
      if (holdLast) held = clean
      if (next !== undefined && next.length > 0 && !response.write(next)) answer.pause()
    })
    response.on('drain', () => answer.resume())
    let done = false
    const once = (broken: 'upstream' | 'client' | null): void => {
      if (done) return
      done = true
      finish(broken)
    }
    answer.once('end', () => once(answer.complete ? null : 'upstream'))
    answer.once('error', () => once('upstream'))
    answer.once('close', () => once('upstream'))
    response.once('error', () => once('client'))
    response.once('close', () => {
      answer.destroy()
      once('client')
    })
  })
}

function noteUse({ flow }: Exchange, reader: UsageReader | undefined, found: number): void {
  const { detail } = flow.record
  if (found > 0) detail['scrubbed'] = found
  if (reader === undefined) return
  if (reader.model !== null) detail['model'] = reader.model
  Object.assign(detail, reader.total)
}
