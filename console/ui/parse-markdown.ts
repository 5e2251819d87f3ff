/**
 * The little of Markdown that answers use, as data. Nothing here is ever HTML: the page draws it from text nodes, so an
 * agent's words cannot become markup. Links keep only http and https.
 */
export type Inline =
  | { type: 'text'; text: string }
  | { type: 'code'; text: string }
  | { type: 'strong' | 'em'; text: string }
  | { type: 'link'; text: string; href: string }
export type Block =
  | { type: 'paragraph'; inlines: Inline[] }
  | { type: 'heading'; level: 1 | 2 | 3; inlines: Inline[] }
  | { type: 'code'; language: string; text: string }
  | { type: 'list'; ordered: boolean; items: Inline[][] }
  | { type: 'quote'; inlines: Inline[] }
  | { type: 'rule' }

const bullet = /^\s{0,3}(?:[-*+]|(\d{1,9})[.)])\s+(.*)$/
const heading = /^(#{1,6})\s+(.+?)\s*#*$/
const fence = /^\s{0,3}```(\S*)/

/** Blocks of a text. A fence that is not closed yet, as while an answer streams, runs to the end. */
export function parseMarkdown(text: string): Block[] {
  const lines = text.replaceAll('\r\n', '\n').split('\n')
  const blocks: Block[] = []
  let at = 0
  while (at < lines.length) {
    const line = lines[at] ?? ''
    const open = fence.exec(line)
    const list = bullet.exec(line)
    const head = heading.exec(line)
    if (line.trim() === '') at += 1
    else if (open) {
      const end = lines.findIndex((l, i) => i > at && /^\s{0,3}```\s*$/.test(l))
      const until = end === -1 ? lines.length : end
      blocks.push({ type: 'code', language: open[1] ?? '', text: lines.slice(at + 1, until).join('\n') })
      at = until + 1
    } else if (head) {
      const level = Math.min(head[1]?.length ?? 1, 3) as 1 | 2 | 3
      blocks.push({ type: 'heading', level, inlines: parseInlines(head[2] ?? '') })
      at += 1
    } else if (/^\s{0,3}([-*_])(\s*\1){2,}\s*$/.test(line)) {
      blocks.push({ type: 'rule' })
      at += 1
    } else if (list) {
      const items: string[] = []
      for (; at < lines.length && (lines[at] ?? '').trim() !== ''; at += 1) {
        const item = bullet.exec(lines[at] ?? '')
        if (item) items.push(item[2] ?? '')
        else items.push(`${items.pop() ?? ''}\n${(lines[at] ?? '').trim()}`)
      }
      blocks.push({ type: 'list', ordered: list[1] !== undefined, items: items.map(parseInlines) })
    } else {
      const quote = line.startsWith('>')
      const start = at
      while (at < lines.length && !endsParagraph(lines[at] ?? '', at === start, quote)) at += 1
      const body = lines.slice(start, at).map((l) => (quote ? l.replace(/^>\s?/, '') : l))
      blocks.push({ type: quote ? 'quote' : 'paragraph', inlines: parseInlines(body.join('\n')) })
    }
  }
  return blocks
}

function endsParagraph(line: string, first: boolean, quote: boolean): boolean {
  if (first) return false
  if (line.trim() === '' || quote !== line.startsWith('>')) return true
  return fence.test(line) || heading.test(line) || bullet.test(line)
}

const inline =
  /`([^`\n]+)`|\*\*([^*\n]+)\*\*|\*([^*\s][^*\n]*)\*|\[([^\]\n]+)\]\((https?:\/\/[^\s)]+)\)|(https?:\/\/[^\s<>"')\]]*[^\s<>"')\].,;:!?])/g

export function parseInlines(text: string): Inline[] {
  const parts: Inline[] = []
  let from = 0
  for (const match of text.matchAll(inline)) {
    if (match.index > from) parts.push({ type: 'text', text: text.slice(from, match.index) })
    const [whole, code, strong, em, label, href, bare] = match
    if (code !== undefined) parts.push({ type: 'code', text: code })
    else if (strong !== undefined) parts.push({ type: 'strong', text: strong })
    else if (em !== undefined) parts.push({ type: 'em', text: em })
    else if (label !== undefined && href !== undefined) parts.push({ type: 'link', text: label, href })
    else if (bare !== undefined) parts.push({ type: 'link', text: bare, href: bare })
    from = match.index + whole.length
  }
  if (from < text.length) parts.push({ type: 'text', text: text.slice(from) })
  return parts
}
