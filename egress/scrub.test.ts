import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createScrubber, scrubText, spellings } from './scrub.ts'

const secret = 'sk-live/9+zQ"x=7 &k~A1b2C3d4'

/** Feeds the text in pieces of every size and returns what came out for each. */
function inPieces(text: string, values: string[]): string[] {
  const bytes = Buffer.from(text, 'latin1')
  return Array.from({ length: Math.min(bytes.length, 60) }, (_, i) => i + 1).map((size) => {
    const scrubber = createScrubber(values)
    const out: Buffer[] = []
    for (let at = 0; at < bytes.length; at += size) out.push(scrubber.push(Buffer.from(bytes.subarray(at, at + size))))
    return Buffer.concat([...out, scrubber.flush()]).toString('latin1')
  })
}

const echoes: Record<string, string> = {
  'as it is': secret,
  'percent-encoded': encodeURIComponent(secret),
  'percent-encoded in lower case': encodeURIComponent(secret).replace(/%../g, (code) => code.toLowerCase()),
  'as a form field': encodeURIComponent(secret).replaceAll('%20', '+'),
  'escaped in JSON': JSON.stringify(secret).slice(1, -1),
  'escaped in JSON with slashes': JSON.stringify(secret).slice(1, -1).replaceAll('/', '\\/'),
  'in base64': Buffer.from(secret).toString('base64'),
  'in base64 after one byte': Buffer.from(`:${secret}`).toString('base64'),
  'in base64 after a user': Buffer.from(`ab${secret}@`).toString('base64'),
  'in base64url': Buffer.from(`abc${secret}`).toString('base64url'),
}
for (const [name, echo] of Object.entries(echoes))
  test(`a secret echoed ${name} is hidden wherever the chunks end, and nothing else changes`, () => {
    const text = `before ${echo} between ${echo}${echo} after`
    for (const out of inPieces(text, [secret])) {
      assert.equal(out.length, text.length)
      assert.ok(out.startsWith('before ') && out.endsWith(' after') && out.includes(' between '))
      for (const spelling of spellings(secret)) assert.ok(!out.includes(spelling.toString('latin1')), out)
      // Of base64, single characters at the seams belong to the neighbours; no run of the encoded secret may remain.
      for (let at = 0; at + 12 <= echo.length; at++) assert.ok(!out.includes(echo.slice(at, at + 12)), out)
    }
  })

test('text without the secret passes byte for byte and is not held back', () => {
  const scrubber = createScrubber([secret])
  for (const chunk of ['data: one\n\n', 'data: sk-live is a prefix\n\n', '\xff\x00']) {
    assert.equal(scrubber.push(Buffer.from(chunk, 'latin1')).toString('latin1'), chunk)
  }
  assert.equal(scrubber.found, 0)
})

test('the beginning of a secret at the end of an answer is passed on when no more comes', () => {
  const scrubber = createScrubber([secret])
  assert.equal(scrubber.push(Buffer.from('x sk-live/9')).toString(), 'x ')
  assert.equal(scrubber.flush().toString(), 'sk-live/9')
})

test('several secrets are hidden at once, the longer of two that begin alike whole', () => {
  assert.doesNotMatch(
    scrubText('abcdef12 abcdef123456 zyxwvuts', ['abcdef12', 'abcdef123456', 'zyxwvuts']),
    /abc|zyx|3456/,
  )
})

test('values too short to be secrets are not looked for', () => assert.equal(scrubText('abc abc', ['abc']), 'abc abc'))
