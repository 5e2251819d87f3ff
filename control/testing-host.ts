import type { Output } from '../contract/route.ts'
import { syncHost } from '../contract/sync.ts'
import type { DesiredSandbox, ObservedSandbox, Reading } from '../contract/sync.ts'
import { testTokens } from './testing.ts'
import type { TestControl } from './testing.ts'

type Desired = Output<typeof syncHost>

export interface TestHost {
  /** What it reports. Tests may put anything here. */
  sandboxes: Map<string, ObservedSandbox>
  readings: Reading[]
  desired: Desired | undefined
  /** One exchange that does not wait. */
  sync(): Promise<Desired>
  /** What was sent last. */
  lastBody(): object
  /** Exchanges, obeying at once, until what it has and what is desired satisfy `done`. */
  until(done: (desired: Desired) => boolean): Promise<Desired>
  /** Obeys until the sandbox is reported in this state. */
  untilState(sandboxId: string, state: ObservedSandbox['state']): Promise<void>
}

const patienceMs = 20_000

/** A host without a driver: it obeys in memory, through the same operation as a real one. */
export function testHost(control: TestControl, name = 'test-host', memoryMiB = 65_536): TestHost {
  let last: object = {}
  const host: TestHost = {
    sandboxes: new Map(),
    readings: [],
    desired: undefined,
    sync: () => exchange(null, 0),
    lastBody: () => last,
    async until(done) {
      const deadline = Date.now() + patienceMs
      let hash: string | null = null
      for (;;) {
        const desired = await exchange(hash, 200)
        if (obey(desired)) hash = null
        else if (done(desired)) return desired
        else hash = desired.hash
        if (Date.now() > deadline) throw new Error(`never came: ${JSON.stringify(desired.sandboxes)}`)
      }
    },
    async untilState(sandboxId, state) {
      await host.until(() => host.sandboxes.get(sandboxId)?.state === state)
    },
  }
  const exchange = async (hash: string | null, holdMs: number): Promise<Desired> => {
    const body = {
      hash,
      holdMs,
      protocol: 1 as const,
      name,
      version: '0.1.0',
      drivers: [{ name: 'fake', isolations: ['container' as const] }],
      capacity: { cpus: 8, memoryMiB, diskGiB: 100 },
      registries: ['registry.example', 'mirror.example:8443'],
      sandboxes: [...host.sandboxes.values()],
      templates: [],
      readings: host.readings,
    }
    last = body
    host.desired = await control.call(syncHost, { body }, { key: testTokens.host })
    return host.desired
  }
  /** True when there is something new to report. */
  const obey = (desired: Desired): boolean => {
    const before = JSON.stringify([...host.sandboxes])
    const known = new Set(desired.sandboxes.map((want) => want.id))
    for (const id of host.sandboxes.keys()) if (!known.has(id)) host.sandboxes.delete(id)
    for (const want of desired.sandboxes) host.sandboxes.set(want.id, report(want, host.sandboxes.get(want.id)))
    return JSON.stringify([...host.sandboxes]) !== before
  }
  return host
}

function report(want: DesiredSandbox, before: ObservedSandbox | undefined): ObservedSandbox {
  // A test's own failure stays until another attempt is asked for.
  if (before?.state === 'error' && before.generation === want.generation && want.state === 'running') return before
  const running = want.state === 'running'
  return {
    id: want.id,
    state: want.state,
    step: null,
    reason: null,
    generation: want.generation,
    ready: running,
    marks: running ? (before?.marks ?? { readyAt: new Date().toISOString() }) : {},
    restarts: 0,
  }
}
