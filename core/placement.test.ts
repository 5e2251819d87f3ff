import assert from 'node:assert/strict'
import { test } from 'node:test'
import { place, reservedMiB } from './placement.ts'
import type { PlacementHost, PlacementNeed } from './placement.ts'

const host = (id: string, more: Partial<PlacementHost> = {}): PlacementHost => ({
  id,
  name: `name-${id}`,
  reachable: true,
  isolations: ['container'],
  cpus: 4,
  memoryMiB: 8192,
  reservedMiB: 0,
  ...more,
})
const size = { cpus: 2, memoryMiB: 2048, diskGiB: 10 }
const need: PlacementNeed = { isolation: 'container', size, busy: true, boundTo: null }

const cases: [string, PlacementNeed, PlacementHost[], string | RegExp][] = [
  ['the only host', need, [host('a')], 'a'],
  ['the emptier host', need, [host('a', { reservedMiB: 4096 }), host('b', { reservedMiB: 1024 })], 'b'],
  ['the smaller id of two alike', need, [host('b'), host('a')], 'a'],
  [
    'the host with its workspace, though another is emptier',
    { ...need, boundTo: 'a' },
    [host('a', { reservedMiB: 99 }), host('b')],
    'a',
  ],
  ['exactly what is left', need, [host('a', { reservedMiB: 6144 })], 'a'],
  ['no host at all', need, [], /no host has joined/],
  ['silent hosts only', need, [host('a', { reachable: false })], /no host answers/],
  [
    'its own silent host',
    { ...need, boundTo: 'a' },
    [host('a', { reachable: false }), host('b')],
    /name-a with its workspace does not answer/,
  ],
  ['a workspace on a host that is gone', { ...need, boundTo: 'z' }, [host('a')], /host z with its workspace is gone/],
  ['another isolation', { ...need, isolation: 'vm' }, [host('a')], /no host offers the isolation vm/],
  [
    'more memory than any host has',
    { ...need, size: { ...size, memoryMiB: 9000 } },
    [host('a')],
    /9000 MiB fit on no host; the largest has 4 CPUs and 8192 MiB/,
  ],
  ['more cores than any host has', { ...need, size: { ...size, cpus: 5 } }, [host('a')], /5 CPUs/],
  ['more than is free', need, [host('a', { reservedMiB: 7000 })], /2048 MiB of memory wanted, 1192 MiB free/],
]

for (const [name, wanted, hosts, expected] of cases) {
  test(`placing with ${name}`, () => {
    const placement = place(wanted, hosts)
    if (typeof expected === 'string') assert.deepEqual(placement, { host: expected })
    else assert.match('reason' in placement ? placement.reason : `host ${placement.host}`, expected)
  })
}

test('an agent reserves its memory, an idle sandbox a small part of it', () => {
  assert.equal(reservedMiB(size, true), 2048)
  assert.equal(reservedMiB(size, false), 128)
  assert.equal(reservedMiB({ ...size, memoryMiB: 64 }, false), 16)
})

test('five hundred idle sandboxes of the default size fit on a machine of 24 GiB', () => {
  assert.ok(500 * reservedMiB({ cpus: 1, memoryMiB: 512, diskGiB: 10 }, false) <= 24 * 1024)
})
