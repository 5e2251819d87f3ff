import { useState } from 'react'
import { listAgentFiles, personalityFiles, putAgentFile, type Agent } from '../../../contract/agents.ts'
import type { Output } from '../../../contract/route.ts'
import { useApi, useDo } from '../../lib/api.ts'
import { Loaded } from '../../lib/loaded.tsx'
import { showDone } from '../../lib/notify.ts'
import { Badge } from '../../ui/badge.tsx'
import { Button } from '../../ui/button.tsx'
import { Card, Section } from '../../ui/card.tsx'
import { Segments } from '../../ui/choice.tsx'
import { Confirm } from '../../ui/confirm.tsx'
import { TextArea } from '../../ui/field.tsx'

type File = Output<typeof listAgentFiles>['items'][number]
type FileName = File['name']

const purposes: Record<FileName, string> = {
  'AGENTS.md': 'What it is for and how it works',
  'SOUL.md': 'Who it is: character, tone, limits',
  'IDENTITY.md': 'Its name and emoji',
  'USER.md': 'What it knows about you',
}

export function PersonalityTab({ agent }: { agent: Agent }) {
  const files = useApi(listAgentFiles, { params: { id: agent.id } })
  const [name, setName] = useState<FileName>('SOUL.md')
  return (
    <Section
      plain
      title="Personality files"
      help="The agent reads these at the start of every conversation. Changes apply without a restart."
      actions={
        <Segments
          label="File"
          value={name}
          options={personalityFiles.map((file) => ({ value: file, label: file.replace('.md', '') }))}
          onChange={setName}
        />
      }
    >
      <Card>
        <Loaded query={files}>
          {({ items }) => {
            const file = items.find((one) => one.name === name)
            return file === undefined ? null : <Editor key={file.name} agentId={agent.id} file={file} />
          }}
        </Loaded>
      </Card>
    </Section>
  )
}

/** What is typed is kept whatever arrives meanwhile; it is compared with the file as it is now. */
function Editor({ agentId, file }: { agentId: string; file: File }) {
  const [draft, setDraft] = useState<string | null>(null)
  const [asking, setAsking] = useState(false)
  const put = useDo(putAgentFile, {
    invalidates: [listAgentFiles],
    errors: `${file.name} was not saved`,
    onDone: (saved) => {
      setDraft(null)
      setAsking(false)
      showDone(saved.source === 'own' ? `${saved.name} is saved` : `${saved.name} is made from the personality again`)
    },
  })
  const text = draft ?? file.content
  const changed = draft !== null && draft !== file.content
  const save = (content: string): void => put.mutate({ params: { id: agentId, name: file.name }, body: { content } })
  return (
    <form
      className="flex flex-col gap-4 p-4 sm:p-5"
      onSubmit={(event) => {
        event.preventDefault()
        if (changed && text.trim() !== '') save(text)
      }}
    >
      <div className="flex flex-wrap items-center justify-between gap-2">
        <p className="text-ink-2">{purposes[file.name]}</p>
        <Badge tone={file.source === 'own' ? 'busy' : 'idle'}>
          {file.source === 'own' ? 'Your own text' : 'Made from the personality'}
        </Badge>
      </div>
      <TextArea
        label={file.name}
        hideLabel
        mono
        rows={18}
        spellCheck={false}
        value={text}
        onChange={(event) => setDraft(event.target.value)}
        className="text-[0.8125rem]"
      />
      <div className="flex flex-wrap items-center justify-between gap-2">
        <Button
          variant="ghost"
          onClick={() => setAsking(true)}
          why={file.source === 'personality' ? 'It is made from the personality already' : undefined}
        >
          Back to the made one
        </Button>
        <div className="flex gap-2">
          {changed && <Button onClick={() => setDraft(null)}>Discard</Button>}
          <Button type="submit" variant="primary" busy={put.isPending} why={saveWhyNot(changed, text)}>
            Save
          </Button>
        </div>
      </div>
      <Confirm
        open={asking}
        onClose={() => setAsking(false)}
        title={`Give up your own ${file.name}?`}
        help="It is made from the preset and the texts of the personality again."
        action="Give up my text"
        busy={put.isPending}
        onConfirm={() => save('')}
      />
    </form>
  )
}

function saveWhyNot(changed: boolean, text: string): string | undefined {
  if (!changed) return 'Nothing has changed'
  return text.trim() === '' ? 'An empty file goes back to the made one; use the button for that' : undefined
}
