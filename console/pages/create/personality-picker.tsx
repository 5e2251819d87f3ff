import { useState } from 'react'
import { personalityPresets, type Personality } from '../../../contract/agents.ts'
import { makePersonalityFiles } from '../../../core/personality.ts'
import { emojiOf, natureOf } from '../../lib/look.ts'
import { PresetMark } from '../agent-avatar.tsx'
import { canDraw } from '../../ui/can-draw.ts'
import { Button } from '../../ui/button.tsx'
import { Choice } from '../../ui/choice.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { TextArea, TextField } from '../../ui/field.tsx'
import { Markdown } from '../../ui/markdown.tsx'

const titles: Record<(typeof personalityPresets)[number], string> = {
  assistant: 'Assistant',
  engineer: 'Engineer',
  researcher: 'Researcher',
  writer: 'Writer',
  operator: 'Operator',
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

/** A built-in character or none, and one's own words on top. The preview is what the agent will really read. */
export function PersonalityPicker(props: {
  name: string
  value: Personality
  onChange: (value: Personality) => void
  error: (apiField: string) => string | undefined
}) {
  const { name, value, onChange, error } = props
  const [previewing, setPreviewing] = useState(false)
  const made = emojiOf(name, { ...value, emoji: '' })
  return (
    <div className="flex flex-col gap-5">
      <Choice
        legend="Character"
        hideLegend
        columns="sm:grid-cols-2 lg:grid-cols-3"
        value={value.preset ?? 'own'}
        options={[
          ...personalityPresets.map((preset) => ({
            value: preset as string,
            title: titles[preset],
            detail: capital(natureOf(preset).replace(/^an? /, '')),
            icon: <PresetMark preset={preset} className="size-8 rounded-lg" />,
          })),
          {
            value: 'own',
            title: 'Your own',
            detail: 'Only what you write below',
            icon: <PresetMark preset="own" className="size-8 rounded-lg" />,
          },
        ]}
        onChange={(chosen) =>
          onChange({ ...value, preset: personalityPresets.find((preset) => preset === chosen) ?? null })
        }
      />
      <TextArea
        label="What it is for"
        aside="optional"
        rows={3}
        placeholder="Looks after the team’s release notes: collects merged changes every Friday and drafts the post."
        value={value.instructions}
        error={error('personality.instructions')}
        onChange={(event) => onChange({ ...value, instructions: event.target.value })}
      />
      <div className="grid gap-5 sm:grid-cols-[1fr_7rem]">
        <TextArea
          label={value.preset === null ? 'Its character' : 'Anything to add to its character'}
          aside="optional"
          rows={3}
          placeholder="Dry humour, British spelling, never more than five sentences unless asked."
          value={value.soul}
          error={error('personality.soul')}
          onChange={(event) => onChange({ ...value, soul: event.target.value })}
        />
        <TextField
          label="Emoji"
          aside="optional"
          placeholder={canDraw(made) ? made : ''}
          value={value.emoji}
          error={error('personality.emoji')}
          onChange={(event) => onChange({ ...value, emoji: event.target.value })}
        />
      </div>
      <div>
        <Button size="sm" onClick={() => setPreviewing(true)}>
          Preview what it reads
        </Button>
      </div>
      <Dialog
        wide
        open={previewing}
        onClose={() => setPreviewing(false)}
        title="What the agent reads"
        help="Made from your choices; every file can be edited later"
      >
        <Preview name={name.trim() === '' ? 'Your agent' : name.trim()} personality={value} />
      </Dialog>
    </div>
  )
}

function Preview({ name, personality }: { name: string; personality: Personality }) {
  return (
    <div className="flex max-h-[60dvh] flex-col gap-4 overflow-y-auto">
      {Object.entries(makePersonalityFiles(name, personality)).map(([file, text]) => (
        <section key={file} aria-label={file} className="rounded-lg border border-line bg-surface">
          <h3 className="border-b border-line px-3.5 py-2 font-mono text-xs text-ink-2">{file}</h3>
          <div className="px-3.5 py-3 text-sm">
            <Markdown text={text} />
          </div>
        </section>
      ))}
    </div>
  )
}
