import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Observed } from './driver.ts'
import { exitReason, planNext, type Situation } from './plan.ts'
import { wanted } from './testing.ts'

const running: Observed = { state: 'running', exit: null, specHash: '', startedAt: '2026-01-01T00:00:00Z' }
const stopped: Observed = { ...running, state: 'stopped' }
const paused: Observed = { ...running, state: 'paused' }
const failed: Observed = { ...stopped, exit: { code: 3, signal: null, outOfMemory: false } }
const probe = { port: 80, path: '/', headers: {}, timeoutMs: 1000 }

const situation = (change: Partial<Situation> = {}): Situation => ({
  want: wanted(),
  have: running,
  record: {
    generation: 1,
    filesHash: 'f',
    specHash: 's',
    readyRun: null,
    marks: {},
    restarts: 0,
    crashes: 0,
  },
  template: { ready: true, reason: null },
  filesHash: 'f',
  specHash: 's',
  canUpdate: true,
  crashedAt: 0,
  lateReason: null,
  now: 10_000,
  ...change,
})
const record = (change: Partial<Situation['record']>): Situation['record'] => ({ ...situation().record, ...change })
const never = wanted({}, { start: { command: ['x'], restart: 'never', stopGraceMs: 0 } })

const cases: [string, Partial<Situation>, string | null, string, string | null][] = [
  ['what runs as wanted is left alone', {}, null, 'running', null],
  ['what does not exist is created', { have: undefined }, 'create', 'creating', 'creating'],
  [
    'a missing template is waited for',
    { have: undefined, template: { ready: false, reason: null } },
    null,
    'creating',
    'template',
  ],
  [
    'a template that failed is an error',
    { have: undefined, template: { ready: false, reason: 'no' } },
    null,
    'error',
    'template',
  ],
  ['what is stopped is started', { have: stopped }, 'start', 'creating', 'booting'],
  ['files go in before the start', { have: stopped, filesHash: 'new' }, 'writeFiles', 'creating', 'booting'],
  ['a new spec is taken over before the start', { have: stopped, specHash: 'new' }, 'update', 'creating', 'booting'],
  [
    'a driver that cannot take one over starts as it is',
    { have: stopped, specHash: 'new', canUpdate: false },
    'start',
    'creating',
    'booting',
  ],
  ['new files reach a running one live', { filesHash: 'new' }, 'applyFiles', 'running', null],
  ['a new generation stops it first', { record: record({ generation: 0 }) }, 'stop', 'creating', 'booting'],
  ['a lost record means one restart', { record: record({ generation: null }) }, 'stop', 'creating', 'booting'],
  ['it is asked whether it is ready', { want: wanted({}, { ready: probe }) }, 'watch', 'creating', 'waiting'],
  [
    'a run that was ready once stays it',
    { want: wanted({}, { ready: probe }), record: record({ readyRun: running.startedAt }) },
    null,
    'running',
    null,
  ],
  [
    'a late one is an error that is still asked',
    { want: wanted({}, { ready: probe }), lateReason: 'late' },
    'watch',
    'error',
    'waiting',
  ],
  ['what is paused is resumed', { have: paused }, 'resume', 'paused', null],
  ['a crash is followed by a start', { have: failed }, 'start', 'creating', 'booting'],
  ['but not at once', { have: failed, now: 500 }, null, 'creating', 'booting'],
  ['and later after several', { have: failed, record: record({ crashes: 5 }) }, null, 'creating', 'booting'],
  [
    'a restart asked for does not wait',
    { have: failed, now: 500, record: record({ generation: 0 }) },
    'start',
    'creating',
    'booting',
  ],
  ['one that is not to be restarted stays down', { have: failed, want: never }, null, 'error', null],
  [
    'one that filled its disk waits for its owner',
    { have: { ...failed, exit: { code: null, signal: 'SIGKILL', outOfMemory: false, outOfDisk: true } } },
    null,
    'error',
    null,
  ],
  [
    'a clean end of it is no error',
    { have: { ...failed, exit: { code: 0, signal: null, outOfMemory: false } }, want: never },
    null,
    'stopped',
    null,
  ],
  ['running is stopped', { want: wanted({ state: 'stopped' }) }, 'stop', 'running', null],
  ['paused is stopped', { want: wanted({ state: 'stopped' }), have: paused }, 'stop', 'paused', null],
  ['stopped is stopped', { want: wanted({ state: 'stopped' }), have: stopped }, null, 'stopped', null],
  ['never made is stopped', { want: wanted({ state: 'stopped' }), have: undefined }, null, 'stopped', null],
  ['running is paused', { want: wanted({ state: 'paused' }) }, 'pause', 'running', null],
  ['paused is paused', { want: wanted({ state: 'paused' }), have: paused }, null, 'paused', null],
  ['what lost its memory is stopped', { want: wanted({ state: 'paused' }), have: stopped }, null, 'stopped', null],
  ['destroyed from running', { want: wanted({ state: 'destroyed' }) }, 'destroy', 'running', null],
  ['destroyed from nothing', { want: wanted({ state: 'destroyed' }), have: undefined }, 'destroy', 'stopped', null],
]

for (const [name, change, verb, state, step] of cases)
  test(`plan: ${name}`, () => {
    const next = planNext(situation(change))
    assert.deepEqual([next.verb, next.report.state, next.report.step], [verb, state, step])
  })

test('the reason of an end says what to do about it', () => {
  const want = wanted()
  assert.match(exitReason({ code: null, signal: 'SIGKILL', outOfMemory: true }, want), /512 MiB.*larger size/)
  assert.match(exitReason({ code: null, signal: 'SIGKILL', outOfMemory: false, outOfDisk: true }, want), /disk is full/)
  assert.match(exitReason({ code: 7, signal: null, outOfMemory: false }, want), /exited with code 7/)
  assert.match(exitReason({ code: null, signal: 'SIGSEGV', outOfMemory: false }, want), /killed by SIGSEGV/)
})
