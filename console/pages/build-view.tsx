import type { BuildProgress } from '../../contract/templates.ts'
import { Progress } from '../ui/progress.tsx'

/** How far a template's build is, and its last lines. */
export function BuildView({ progress }: { progress: BuildProgress }) {
  const { step, steps, title, lines } = progress
  return (
    <div className="flex flex-col gap-2 pt-1">
      <div className="flex items-baseline justify-between gap-3 text-xs text-ink-2">
        <span className="truncate first-letter:uppercase">{title}</span>
        <span className="shrink-0 text-ink-3 tabular">
          {step} of {steps}
        </span>
      </div>
      <Progress label="Build" share={steps === 0 ? 0 : step / steps} text={`Step ${step} of ${steps}: ${title}`} />
      {lines.length > 0 && (
        <pre
          aria-label="Build output"
          className="max-h-36 overflow-auto rounded-lg border border-line bg-sunken px-3 py-2 font-mono text-xs leading-relaxed whitespace-pre-wrap text-ink-2"
        >
          {lines.slice(-8).join('\n')}
        </pre>
      )}
    </div>
  )
}
