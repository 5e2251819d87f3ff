import { useState } from 'react'
import { checkEgress } from '../../../contract/egress.ts'
import { useApi } from '../../lib/api.ts'
import { sentence, tell } from '../../lib/errors.ts'
import { Badge } from '../../ui/badge.tsx'
import { Button } from '../../ui/button.tsx'
import { TextField } from '../../ui/field.tsx'

/** An address as typed, made a URL: without a scheme it is https. */
const urlOf = (text: string): string => (/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`)

export function EgressCheck({ agentId }: { agentId: string }) {
  const [text, setText] = useState('')
  const [asked, setAsked] = useState<string | null>(null)
  const check = useApi(checkEgress, { query: { agentId, url: asked ?? '' } }, { enabled: asked !== null, freshMs: 0 })
  const ask = (): void => {
    if (text.trim() === '') return
    const url = urlOf(text.trim())
    if (url === asked) void check.refetch()
    else setAsked(url)
  }
  return (
    <form
      noValidate
      aria-label="Check an address"
      className="flex flex-col p-4 sm:p-5"
      onSubmit={(event) => {
        event.preventDefault()
        ask()
      }}
    >
      <div className="flex items-start gap-3">
        <div className="min-w-0 flex-1">
          <TextField
            label="Address"
            hideLabel
            mono
            placeholder="https://api.example.com/v1/things"
            autoCapitalize="off"
            spellCheck={false}
            value={text}
            error={check.error === null ? undefined : tell(check.error).message}
            onChange={(event) => setText(event.target.value)}
          />
        </div>
        <Button type="submit" busy={check.isFetching}>
          Check
        </Button>
      </div>
      <div role="status">
        {check.data !== undefined && (
          <div className="flex flex-wrap items-center gap-x-3 gap-y-1.5 pt-4">
            <Badge tone={check.data.action === 'allow' ? 'ok' : 'bad'}>
              {check.data.action === 'allow' ? 'Allowed' : 'Denied'}
            </Badge>
            <span className="text-ink-2">{sentence(check.data.message)}</span>
            {check.data.secret !== null && (
              <span className="text-ink-2">
                with the secret <code className="font-mono text-xs">{check.data.secret}</code>
              </span>
            )}
          </div>
        )}
      </div>
    </form>
  )
}
