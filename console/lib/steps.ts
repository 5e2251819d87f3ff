import { sandboxSteps, type SandboxStep, type Timings } from '../../contract/sandboxes.ts'

export type StepState = 'done' | 'now' | 'next'
export interface StepProgress {
  step: SandboxStep
  state: StepState
  /** How long it took, once it is known. */
  ms: number | null
}

const reached: Record<SandboxStep, keyof Timings> = {
  placing: 'placedMs',
  template: 'templateMs',
  creating: 'createdMs',
  booting: 'bootedMs',
  waiting: 'readyMs',
}

/** What is still to do when a sandbox that exists already is started. */
const again: readonly SandboxStep[] = ['booting', 'waiting']

/**
 * Each step on the way to a running agent. `current` null: not begun, as before the first report. Without timings the
 * sandbox is not new but started again, which has fewer steps.
 */
export function stepsOf(current: SandboxStep | null, timings: Timings): StepProgress[] {
  const all = stepsOfNew(current, timings)
  const isAgain = current !== null && again.includes(current) && timings.placedMs === undefined
  return isAgain ? all.filter(({ step }) => again.includes(step)) : all
}

function stepsOfNew(current: SandboxStep | null, timings: Timings): StepProgress[] {
  const at = current === null ? 0 : sandboxSteps.indexOf(current)
  let before = 0
  return sandboxSteps.map((step, index) => {
    const until = timings[reached[step]]
    const ms = until === undefined ? null : Math.max(0, until - before)
    if (until !== undefined) before = until
    const state = index < at ? 'done' : index === at ? 'now' : 'next'
    return { step, state, ms: state === 'done' ? ms : null }
  })
}
