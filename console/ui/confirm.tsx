import { useState, type ReactNode } from 'react'
import { Button } from './button.tsx'
import { Dialog, DialogActions } from './dialog.tsx'
import { TextField } from './field.tsx'

interface ConfirmProps {
  open: boolean
  onClose: () => void
  title: string
  help: ReactNode
  /** What the button says, for example `Destroy agent`. */
  action: string
  busy?: boolean
  onConfirm: () => void
  /** Typing this name is asked for before the button works: for what cannot be undone. */
  typeName?: string
}

/** Asks before something that cannot be undone. */
export function Confirm(props: ConfirmProps) {
  return (
    <Dialog open={props.open} onClose={props.onClose} title={props.title} help={props.help}>
      <ConfirmForm {...props} />
    </Dialog>
  )
}

function ConfirmForm({ onClose, action, busy = false, onConfirm, typeName }: ConfirmProps) {
  const [typed, setTyped] = useState('')
  const why = typeName !== undefined && typed.trim() !== typeName ? `Type “${typeName}” to confirm` : undefined
  return (
    <form
      className="flex flex-col gap-4"
      onSubmit={(event) => {
        event.preventDefault()
        if (why === undefined && !busy) onConfirm()
      }}
    >
      {typeName !== undefined && (
        <TextField
          label={`Type ${typeName} to confirm`}
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
        />
      )}
      <DialogActions>
        <Button onClick={onClose}>Cancel</Button>
        <Button type="submit" variant="danger" busy={busy} {...(why === undefined ? {} : { why })}>
          {action}
        </Button>
      </DialogActions>
    </form>
  )
}
