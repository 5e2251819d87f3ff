import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ExecEvent } from '../contract/sandboxes.ts'
import { outputEvents } from './output-events.ts'

const bytesOf = (events: readonly ExecEvent[]): Buffer =>
  Buffer.concat(
    events.map((event) => ('encoding' in event ? Buffer.from(event.data, event.encoding) : Buffer.alloc(0))),
  )

const samples = {
  'plain text': Buffer.from('hello\n'),
  'text of every length': Buffer.from('a\u{e9}\u{20ac}\u{1f600}z'.repeat(3)),
  'bytes that are no text': Buffer.from(Array.from({ length: 512 }, (_, n) => n & 0xff)),
  'half a character at the end': Buffer.from([0x61, 0xf0, 0x9f, 0x98]),
  'an overlong form': Buffer.from([0xc0, 0x80, 0x61]),
  'a surrogate': Buffer.from([0xed, 0xa0, 0x80]),
}
for (const [name, bytes] of Object.entries(samples))
  test(`${name} arrives byte for byte however it is cut`, () => {
    for (let size = 1; size <= 5; size++) {
      const output = outputEvents()
      const events: ExecEvent[] = []
      for (let at = 0; at < bytes.length; at += size)
        events.push(...output.add('stdout', bytes.subarray(at, at + size)))
      events.push(...output.end())
      assert.deepEqual(bytesOf(events), bytes, `pieces of ${size}`)
    }
  })

test('text stays text however it is cut', () => {
  const output = outputEvents()
  const bytes = Buffer.from('\u{20ac}\u{1f600}')
  const events = [...bytes].flatMap((byte) => output.add('stdout', Buffer.from([byte])))
  assert.deepEqual(
    events.map((event) => ('encoding' in event ? event.encoding : event.type)),
    ['utf8', 'utf8'],
  )
})

test('the two outputs do not mix', () => {
  const output = outputEvents()
  const [first = 0, ...rest] = Buffer.from('\u{e9}')
  assert.deepEqual(output.add('stdout', Buffer.from([first])), [])
  assert.deepEqual(output.add('stderr', Buffer.from('x')), [{ type: 'stderr', data: 'x', encoding: 'utf8' }])
  assert.deepEqual(output.add('stdout', Buffer.from(rest)), [{ type: 'stdout', data: '\u{e9}', encoding: 'utf8' }])
})
