import { useState } from 'react'
import { wipeAgent, type Agent } from '../../../contract/agents.ts'
import { useDo } from '../../lib/api.ts'
import { showDone } from '../../lib/notify.ts'
import { Button } from '../../ui/button.tsx'
import { Choice } from '../../ui/choice.tsx'
import { Dialog, DialogActions } from '../../ui/dialog.tsx'
import { agentReads } from './agent-reads.ts'

type Workspace = 'keep' | 'delete'

/** Replaces the disk, for when an agent has broken its own surroundings. */
export function WipeDialog({ agent, open, onClose }: { agent: Agent; open: boolean; onClose: () => void }) {
  const [workspace, setWorkspace] = useState<Workspace>('keep')
  const wipe = useDo(wipeAgent, {
    invalidates: agentReads,
    errors: 'The disk was not wiped',
    onDone: () => {
      showDone(`${agent.name} gets a fresh disk`)
      onClose()
    },
  })
  return (
    <Dialog
      open={open}
      onClose={onClose}
      title={`Wipe the disk of ${agent.name}?`}
      help="Everything it installed or changed outside its workspace is replaced by a fresh system. Personality, model and allowed hosts stay."
    >
      <Choice<Workspace>
        legend="Workspace"
        columns="grid-cols-1"
        value={workspace}
        onChange={setWorkspace}
        options={[
          { value: 'keep', title: 'Keep the workspace', detail: 'Files, notes and memory of the agent stay' },
          {
            value: 'delete',
            title: 'Delete the workspace too',
            detail: 'The agent starts with nothing; this cannot be undone',
          },
        ]}
      />
      <DialogActions>
        <Button onClick={onClose}>Cancel</Button>
        <Button
          variant="danger"
          busy={wipe.isPending}
          onClick={() => wipe.mutate({ params: { id: agent.id }, body: { workspace } })}
        >
          {workspace === 'keep' ? 'Wipe the disk' : 'Wipe disk and workspace'}
        </Button>
      </DialogActions>
    </Dialog>
  )
}
