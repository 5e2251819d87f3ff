import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { DesiredSandbox } from '../contract/sync.ts'
import { silentLog } from '../lib/log.ts'
import { Reconciler } from './reconcile.ts'
import { openRecords } from './records.ts'
import type { TemplateRoots } from './templates.ts'
import { mapDriver, type MapDriver } from './testing.ts'

export const root = { key: 'base-1', layers: ['/x'], env: {}, user: 'user', cwd: '/' }
export const allReady: TemplateRoots = {
  need: () => ({ ready: true, reason: null }),
  root: () => root,
  owns: (id) => id.startsWith('bd'),
}

export interface World extends AsyncDisposable {
  map: MapDriver
  reconciler: Reconciler
  clock: { now: number }
  sampled: string[]
  /** Rounds until nothing is to be done any more. */
  settle(): Promise<void>
  want(...desired: DesiredSandbox[]): Promise<void>
  seen(id: string): Omit<ReturnType<Reconciler['observed']>[number], 'id'> | undefined
}

export function world(directory: string, map = mapDriver(), templates = allReady): World {
  const clock = { now: 1_000_000 }
  const sampled: string[] = []
  const wakes = { count: 0 }
  const reconciler = new Reconciler({
    driver: map.driver,
    templates,
    records: openRecords(join(directory, 'records'), (_id, error) => assert.fail(String(error))),
    usage: {
      sample: async (id) => void sampled.push(id),
      forget: (id) => void sampled.push(`forget ${id}`),
      ids: () => [],
    },
    now: () => clock.now,
    log: silentLog,
    onChange() {},
    wake: () => void (wakes.count += 1),
  })
  const settle = async (): Promise<void> => {
    for (let calm = 0; calm < 2;) {
      const [calls, woken] = [map.calls.length, wakes.count]
      await reconciler.tick()
      await reconciler.idle()
      await new Promise(setImmediate)
      calm = map.calls.length === calls && wakes.count === woken ? calm + 1 : 0
    }
  }
  return {
    map,
    reconciler,
    clock,
    sampled,
    settle,
    async want(...desired) {
      reconciler.setDesired(desired)
      await settle()
    },
    seen: (id) => reconciler.observed().find((one) => one.id === id),
    [Symbol.asyncDispose]: () => reconciler[Symbol.asyncDispose](),
  }
}
export const verbs = (map: MapDriver): string[] => map.calls.map((call) => call.split(' ')[0] ?? '')
