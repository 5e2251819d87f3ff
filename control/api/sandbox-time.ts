import { SlopboxError } from '../../contract/errors.ts'
import { extendSandbox, pauseSandbox, resumeSandbox } from '../../contract/sandboxes.ts'
import { nextStep, whyNot } from '../../core/sandbox-state.ts'
import type { SandboxAction } from '../../core/sandbox-state.ts'
import { mount } from '../../lib/mount.ts'
import type { App } from '../../lib/mount.ts'
import type { Caller } from '../auth/caller.ts'
import { whyExceeded } from '../provision.ts'
import type { Tx } from '../store/db.ts'
import { expiryOf, setDesired, updateSandbox } from '../store/sandboxes.ts'
import type { SandboxRow } from '../store/sandboxes.ts'
import { toSandbox } from '../views.ts'
import { act } from './sandboxes.ts'
import type { SandboxesDeps } from './sandboxes.ts'
import { untilSandbox } from './until-sandbox.ts'

type Outcome = { kind: string; message: string } | undefined

/** The host freezes and thaws in milliseconds, or says at once why it cannot. */
const patienceMs = 20_000

/** How a sandbox's time is spent: paused, resumed, extended. Each may be repeated. */
export function mountSandboxTime(app: App<Caller>, deps: SandboxesDeps): void {
  const { clock } = deps
  mount(app, pauseSandbox, async ({ caller, params, signal }) => {
    const row = await act(deps, caller, params.id, pauseSandbox.id, pause)
    return toSandbox(await untilObeyed(deps, row, 'paused', signal))
  })
  mount(app, resumeSandbox, async ({ caller, params, body, signal }) => {
    const row = await act(deps, caller, params.id, resumeSandbox.id, (tx, found) =>
      resume(tx, found, clock(), body.timeoutMs),
    )
    return toSandbox(await untilObeyed(deps, row, 'running', signal))
  })
  mount(app, extendSandbox, async ({ caller, params, body }) =>
    toSandbox(
      await act(deps, caller, params.id, extendSandbox.id, (tx, row) => extend(tx, row, clock(), body.timeoutMs)),
    ),
  )
}

async function pause(tx: Tx, row: SandboxRow): Promise<Outcome> {
  if (row.desired === 'paused' && (row.state === 'paused' || row.state === 'running')) return undefined
  refuseUnless('pause', row)
  if (row.desired !== 'running') throw new SlopboxError('wrong_state', `sandbox ${row.id} is being stopped`)
  await setDesired(tx, row, 'paused', { reason: null, expires_at: null })
  return { kind: 'sandbox.pausing', message: 'paused' }
}

/** `timeoutMs` left out: the sandbox is given the time it had once more. */
export async function resume(tx: Tx, row: SandboxRow, now: Date, timeoutMs = row.timeout_ms): Promise<Outcome> {
  if (row.desired === 'running' && (row.state === 'paused' || row.state === 'running')) return undefined
  // Asked to pause but not there yet: it just goes on.
  if (row.desired !== 'paused' || row.state !== 'running') refuseUnless('resume', row)
  const exceeded = await whyExceeded(tx, row.team_id, now)
  if (exceeded !== null) throw new SlopboxError('budget_exceeded', exceeded)
  const time = { timeout_ms: timeoutMs, expires_at: expiryOf(now, timeoutMs) }
  await setDesired(tx, row, 'running', { reason: null, ...time })
  return { kind: 'sandbox.resuming', message: 'resumed' }
}

async function extend(tx: Tx, row: SandboxRow, now: Date, timeoutMs: number | null): Promise<Outcome> {
  const expires = row.desired === 'paused' ? null : expiryOf(now, timeoutMs)
  await updateSandbox(tx, row.id, { timeout_ms: timeoutMs, expires_at: expires })
  return { kind: 'sandbox.extended', message: `given ${timeoutMs === null ? 'all time' : `${timeoutMs / 1000} s`}` }
}

function refuseUnless(action: SandboxAction, { state }: SandboxRow): void {
  const reason = whyNot(action, state)
  if (reason !== undefined) throw new SlopboxError('wrong_state', reason, { hint: nextStep(action, state) })
}

/** Waits until the host has done it. Throws when it could not, or when somebody asked for something else meanwhile. */
export async function untilObeyed(
  deps: Pick<SandboxesDeps, 'db' | 'wake'>,
  asked: SandboxRow,
  state: 'paused' | 'running',
  signal: AbortSignal,
): Promise<SandboxRow> {
  const over = AbortSignal.any([signal, AbortSignal.timeout(patienceMs)])
  const settled = (row: SandboxRow): boolean =>
    row.desired !== state || !(row.state === 'paused' || row.state === 'running') || row.state === state
  const row = await untilSandbox(deps, asked, over, settled)
  if (row.state === state && row.desired === state) return row
  const verb = state === 'paused' ? 'pause' : 'resume'
  if (row.desired !== state)
    throw new SlopboxError('wrong_state', `sandbox ${row.id} was to ${verb}, and then to be ${row.desired}`)
  if (settled(row))
    throw new SlopboxError('unavailable', `the sandbox did not ${verb}: ${row.reason ?? `it is ${row.state}`}`)
  throw new SlopboxError('timeout', `the sandbox did not ${verb} within ${patienceMs / 1000} s`)
}
