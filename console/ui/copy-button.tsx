import { useState } from 'react'
import { Button } from './button.tsx'

/** Copies a text. Where the clipboard is out of reach (plain HTTP on another machine) the text itself stays selectable. */
export function CopyButton({ text, label = 'Copy' }: { text: string; label?: string }) {
  const [state, setState] = useState<'idle' | 'done' | 'refused'>('idle')
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text)
      setState('done')
    } catch {
      setState('refused')
    }
    setTimeout(() => setState('idle'), 2_500)
  }
  const texts = { idle: label, done: 'Copied', refused: 'Select it and copy' }
  return (
    <Button size="sm" icon={state === 'done' ? 'check' : 'copy'} onClick={() => void copy()} aria-live="polite">
      {texts[state]}
    </Button>
  )
}
