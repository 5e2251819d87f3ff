import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseInlines, parseMarkdown } from './parse-markdown.ts'

test('paragraphs, headings, lists, quotes and code are told apart', () => {
  const text =
    '# Title\nHello\nworld\n\n- one\n- two\n  more\n\n1. first\n2. second\n\n> said\n\n```ts\nconst a = 1\n```\n---'
  assert.deepEqual(
    parseMarkdown(text).map((block) => block.type),
    ['heading', 'paragraph', 'list', 'list', 'quote', 'code', 'rule'],
  )
  const lists = parseMarkdown(text).filter((block) => block.type === 'list')
  assert.deepEqual(
    lists.map((list) => [list.ordered, list.items.length]),
    [
      [false, 2],
      [true, 2],
    ],
  )
})

test('a code fence that is still streaming runs to the end', () => {
  assert.deepEqual(parseMarkdown('```\na\nb'), [{ type: 'code', language: '', text: 'a\nb' }])
})

test('marks inside a line', () => {
  assert.deepEqual(parseInlines('a **b** `c` *d* [e](https://x.example/y) https://z.example.'), [
    { type: 'text', text: 'a ' },
    { type: 'strong', text: 'b' },
    { type: 'text', text: ' ' },
    { type: 'code', text: 'c' },
    { type: 'text', text: ' ' },
    { type: 'em', text: 'd' },
    { type: 'text', text: ' ' },
    { type: 'link', text: 'e', href: 'https://x.example/y' },
    { type: 'text', text: ' ' },
    { type: 'link', text: 'https://z.example', href: 'https://z.example' },
    { type: 'text', text: '.' },
  ])
})

test('scripts and markup stay text', () => {
  for (const text of ['[x](javascript:alert(1))', '<img src=x onerror=alert(1)>', '[x](data:text/html,1)'])
    assert.deepEqual(parseInlines(text), [{ type: 'text', text }])
})

test('every text ends, however odd', () => {
  for (const text of ['', '\n\n', '>', '- ', '#', '**', '```', '> a\nb\n> c', '1.\n2.', '***'])
    assert.equal(Array.isArray(parseMarkdown(text)), true)
})
