import { parseInlines, parseMarkdown, type Block, type Inline } from './parse-markdown.ts'

/** An agent's words, drawn from text nodes only. */
export function Markdown({ text }: { text: string }) {
  return (
    <div className="flex flex-col gap-2.5 break-words">
      {parseMarkdown(text).map((block, index) => (
        <BlockView key={index} block={block} />
      ))}
    </div>
  )
}

/** One line that may hold `code`, as hints of the API do. */
export const InlineText = ({ text }: { text: string }) => <Inlines parts={parseInlines(text)} />

function BlockView({ block }: { block: Block }) {
  switch (block.type) {
    case 'paragraph':
      return (
        <p className="whitespace-pre-wrap">
          <Inlines parts={block.inlines} />
        </p>
      )
    case 'heading':
      return (
        <p role="heading" aria-level={block.level + 3} className="pt-1 font-semibold">
          <Inlines parts={block.inlines} />
        </p>
      )
    case 'quote':
      return (
        <blockquote className="border-l-2 border-line-strong pl-3 whitespace-pre-wrap text-ink-2">
          <Inlines parts={block.inlines} />
        </blockquote>
      )
    case 'rule':
      return <hr className="border-line" />
    case 'code':
      return (
        <pre className="overflow-x-auto rounded-lg border border-line bg-sunken px-3 py-2.5 font-mono text-xs leading-relaxed">
          <code>{block.text}</code>
        </pre>
      )
    case 'list': {
      const List = block.ordered ? 'ol' : 'ul'
      return (
        <List className={`flex flex-col gap-1 pl-5 ${block.ordered ? 'list-decimal' : 'list-disc'} marker:text-ink-3`}>
          {block.items.map((item, index) => (
            <li key={index} className="whitespace-pre-wrap">
              <Inlines parts={item} />
            </li>
          ))}
        </List>
      )
    }
  }
}

function Inlines({ parts }: { parts: readonly Inline[] }) {
  return parts.map((part, index) => {
    switch (part.type) {
      case 'text':
        return part.text
      case 'code':
        return (
          <code key={index} className="rounded bg-sunken px-1 py-0.5 font-mono text-[0.9em]">
            {part.text}
          </code>
        )
      case 'strong':
        return <strong key={index}>{part.text}</strong>
      case 'em':
        return <em key={index}>{part.text}</em>
      case 'link':
        return (
          <a
            key={index}
            href={part.href}
            target="_blank"
            rel="noopener noreferrer nofollow"
            className="text-accent underline underline-offset-2"
          >
            {part.text}
          </a>
        )
    }
  })
}
