import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseAuthority, parseHost } from './host-name.ts'

const names: Record<string, string> = {
  'example.com': 'example.com',
  'EXAMPLE.com': 'example.com',
  'example.com.': 'example.com',
  'a-b.x_y.example': 'a-b.x_y.example',
  'r3---sn-4g5e.googlevideo.com': 'r3---sn-4g5e.googlevideo.com',
  'xn--bcher-kva.example': 'xn--bcher-kva.example',
  localhost: 'localhost',
  '1.2.3.4.example': '1.2.3.4.example',
  '0x7f.example': '0x7f.example',
  [`${'a'.repeat(63)}.b`]: `${'a'.repeat(63)}.b`,
}
for (const [text, name] of Object.entries(names))
  test(`${text} is the name ${name}`, () =>
    assert.deepEqual(parseHost(text), { ok: true, host: { kind: 'name', text: name } }))

const addresses: Record<string, string> = {
  '127.0.0.1': '127.0.0.1',
  '127.0.0.1.': '127.0.0.1',
  '127.1': '127.0.0.1',
  '127.0.1': '127.0.0.1',
  '2130706433': '127.0.0.1',
  '0x7f000001': '127.0.0.1',
  '0X7F.1': '127.0.0.1',
  '0x7f.0x0.0x0.0x1': '127.0.0.1',
  '0177.0.0.1': '127.0.0.1',
  '017700000001': '127.0.0.1',
  '0x7f.0.0.01': '127.0.0.1',
  '0': '0.0.0.0',
  '0x': '0.0.0.0',
  '0xa9.254.0251.0xfe': '169.254.169.254',
  '2852039166': '169.254.169.254',
  '4294967295': '255.255.255.255',
  '[::1]': '::1',
  '::1': '::1',
  '[::FFFF:127.0.0.1]': '::ffff:7f00:1',
  '[0:0:0:0:0:0:0:1]': '::1',
}
for (const [text, canonical] of Object.entries(addresses))
  test(`${text} is the address ${canonical}`, () => {
    const result = parseHost(text)
    assert.ok(
      result.ok && result.host.kind === 'ip',
      JSON.stringify(result, (_, v: unknown) => String(v)),
    )
    assert.equal(result.host.text, canonical)
  })

const bad = [
  '',
  '.',
  '..',
  'a..b',
  '.a',
  'a.b..',
  'exa%6dple.com',
  'ex ample.com',
  ' example.com',
  'example.com\t',
  'a\0b',
  'a\r\nb',
  'ｅｘａｍｐｌｅ．com',
  '①②⑦.⓪.⓪.①',
  'bücher.example',
  'user@example.com',
  'user:pw@example.com',
  'example.com:80',
  '[example.com]',
  '[127.0.0.1]',
  '[::1',
  '::1]',
  '[[::1]]',
  '[fe80::1%lo]',
  'fe80::1%25lo',
  'a/b',
  'a\\b',
  'a?b',
  'a#b',
  '-a.com',
  'a-.com',
  '*.example.com',
  'a,b',
  "a'b",
  'a"b',
  '<a>',
  '256.0.0.1',
  '1.2.3.4.5',
  '09.1.1.1',
  '4294967296',
  '0x100000000',
  '1.256.1',
  'example.1',
  `${'a'.repeat(64)}.b`,
  'a.'.repeat(127) + 'bb',
  '٠.٠.٠.٠',
  'example。com',
  'example.com\u00ad',
  '\u200bexample.com',
]
for (const text of bad)
  test(`${JSON.stringify(text)} is not a host`, () => {
    const result = parseHost(text)
    assert.equal(
      result.ok,
      false,
      JSON.stringify(result, (_, v: unknown) => String(v)),
    )
    assert.ok(!result.ok && result.why.length > 5)
  })

test('no host of any spelling is read differently by the URL parser', () => {
  for (const text of [...Object.keys(names), ...Object.keys(addresses)]) {
    const result = parseHost(text)
    assert.ok(result.ok)
    const bare = result.host.text.includes(':') ? `[${result.host.text}]` : result.host.text
    assert.equal(new URL(`http://${bare}/`).hostname, bare)
  }
})

test('an authority is a host with or without a port', () => {
  const at = (text: string): unknown => {
    const result = parseAuthority(text)
    return result.ok ? [result.host.text, result.port] : 'refused'
  }
  assert.deepEqual(at('Example.com:8080'), ['example.com', 8080])
  assert.deepEqual(at('example.com'), ['example.com', null])
  assert.deepEqual(at('[::1]:443'), ['::1', 443])
  assert.deepEqual(at('1.1:65535'), ['1.0.0.1', 65535])
  for (const text of 'a: a:0 a:00080 a:99999 a:65536 a:-1 a:8x a:8:8 ::1:80 u@h:443 [::1]443 [::1]x:1 /x http://a/ :80'.split(
    ' ',
  ))
    assert.equal(at(text), 'refused', text)
})
