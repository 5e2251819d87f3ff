import { SlopboxError } from '../contract/errors.ts'
import type { DesiredSandbox } from '../contract/sync.ts'
import type { Driver, DriverSpec, Observed } from './driver.ts'
import { expandFiles } from './files.ts'
import { hashOf } from './hash.ts'
import type { Verb } from './plan.ts'
import type { ReadyWatches } from './ready-watch.ts'
import type { Mark, Records, SandboxRecord } from './records.ts'
import type { TemplateRoots } from './templates.ts'

export interface UsageSampler {
  /** Reads the counters of one sandbox now. Never throws: a reading that cannot be had is taken next time. */
  sample(id: string): Promise<void>
  /** Called once it is gone: nothing more will be counted. */
  forget(id: string): void
  /** Sandboxes that have counters. */
  ids(): Iterable<string>
}

export interface VerbDeps {
  driver: Driver
  templates: TemplateRoots
  records: Records
  usage: UsageSampler
  watches: ReadyWatches
  now: () => number
}

/** Milliseconds each verb may take before its sandbox is reported as failed. */
const deadlines: Record<Verb, number> = {
  create: 60_000,
  update: 30_000,
  writeFiles: 30_000,
  applyFiles: 90_000,
  start: 60_000,
  stop: 30_000,
  pause: 30_000,
  resume: 30_000,
  destroy: 90_000,
  watch: 1_000,
}

export interface Verbs {
  deadlineMs(verb: Verb, want: DesiredSandbox): number
  run(verb: Verb, want: DesiredSandbox, have: Observed | undefined): Promise<void>
}

export function createVerbs(deps: VerbDeps): Verbs {
  const { driver, records, usage } = deps
  const mark = (id: string, name: Mark): void => {
    const { marks } = records.get(id)
    if (marks[name] === undefined)
      records.change(id, { marks: { ...marks, [name]: new Date(deps.now()).toISOString() } })
  }

  const create = async (want: DesiredSandbox): Promise<void> => {
    mark(want.id, 'templateAt')
    await driver.create(want.id, driverSpec(deps.templates, want))
    records.change(want.id, { specHash: specHash(want), filesHash: null })
    mark(want.id, 'createdAt')
  }
  const writeFiles = async (want: DesiredSandbox): Promise<void> => {
    await putFiles(driver, want)
    records.change(want.id, { filesHash: filesHash(want) })
  }
  const applyFiles = async (want: DesiredSandbox): Promise<void> => {
    await putFiles(driver, want)
    if (want.spec.onFilesChanged !== null) await runInside(driver, want, want.spec.onFilesChanged)
    records.change(want.id, { filesHash: filesHash(want) })
  }
  const start = async (want: DesiredSandbox, have: Observed | undefined): Promise<void> => {
    const record = records.get(want.id)
    const again = have?.exit !== null && have?.exit !== undefined && record.generation === want.generation
    // The last run's final reading, before its counters begin anew.
    await usage.sample(want.id)
    // Remembered first: a crash of the host after the start must not lead to a second restart.
    records.change(want.id, {
      generation: want.generation,
      restarts: record.restarts + (again ? 1 : 0),
      crashes: again ? record.crashes + 1 : 0,
      // A start that was asked for is timed by itself; a repeat after a crash belongs to the one before.
      marks: again ? record.marks : withoutStart(record.marks),
    })
    await driver.start(want.id)
    mark(want.id, 'bootedAt')
    if (want.spec.ready === null) mark(want.id, 'readyAt')
  }
  const stop = async (want: DesiredSandbox): Promise<void> => {
    deps.watches.stop(want.id)
    await usage.sample(want.id)
    await driver.stop(want.id)
    await usage.sample(want.id)
    if (want.state === 'running') records.change(want.id, { generation: null, crashes: 0 })
  }
  const watch = (want: DesiredSandbox, have: Observed | undefined): void => {
    const run = have?.startedAt ?? null
    deps.watches.start(want, run, () => {
      mark(want.id, 'readyAt')
      records.change(want.id, { readyRun: run })
    })
  }

  return {
    deadlineMs: (verb, want) => deadlines[verb] + (verb === 'stop' ? (want.spec.start?.stopGraceMs ?? 0) : 0),
    async run(verb, want, have) {
      switch (verb) {
        case 'create':
          return create(want)
        case 'update':
          await driver.update?.(want.id, driverSpec(deps.templates, want))
          return records.change(want.id, { specHash: specHash(want) })
        case 'writeFiles':
          return writeFiles(want)
        case 'applyFiles':
          return applyFiles(want)
        case 'start':
          return start(want, have)
        case 'stop':
          return stop(want)
        case 'pause':
          if (driver.pause === undefined) throw cannot(driver, 'pause')
          return driver.pause(want.id)
        case 'resume':
          if (driver.resume === undefined) throw cannot(driver, 'resume')
          return driver.resume(want.id)
        case 'destroy':
          deps.watches.stop(want.id)
          await usage.sample(want.id)
          return driver.destroy(want.id, want.deleteVolumes)
        case 'watch':
          return watch(want, have)
      }
    },
  }
}

function withoutStart({ templateAt, createdAt }: SandboxRecord['marks']): SandboxRecord['marks'] {
  return { ...(templateAt === undefined ? {} : { templateAt }), ...(createdAt === undefined ? {} : { createdAt }) }
}

export const filesHash = (want: DesiredSandbox): string => hashOf([want.spec.files, want.spec.onFilesChanged])
/** Of everything a driver is told except the template, whose content a sandbox keeps, and the files, which are written live. */
export const specHash = (want: DesiredSandbox): string => hashOf({ ...want.spec, files: [], template: '' })

const cannot = (driver: Driver, verb: string): SlopboxError =>
  new SlopboxError('wrong_state', `driver ${driver.name} cannot ${verb} a sandbox`)

function driverSpec(templates: TemplateRoots, want: DesiredSandbox): DriverSpec {
  const { spec } = want
  const start = spec.start === null ? null : { command: spec.start.command, stopGraceMs: spec.start.stopGraceMs }
  const { isolation, size, env, user, cwd, volumes } = spec
  // Files follow once the link's addresses are known.
  return {
    template: templates.root(spec.template),
    isolation,
    size,
    env,
    user,
    cwd,
    start,
    files: [],
    volumes,
    power: 'none',
  }
}

async function putFiles(driver: Driver, want: DesiredSandbox): Promise<void> {
  const files = await expandFiles(driver, want)
  if (driver.writeFiles !== undefined) return driver.writeFiles(want.id, files)
  if (files.length > 0) throw new SlopboxError('wrong_state', `driver ${driver.name} cannot put files into a sandbox`)
}

const applyMs = 60_000

async function runInside(driver: Driver, want: DesiredSandbox, command: readonly string[]): Promise<void> {
  if (driver.exec === undefined) throw cannot(driver, 'run commands in')
  const execution = await driver.exec(want.id, { command, env: {}, cwd: undefined, user: undefined })
  execution.stdin.end()
  execution.stdout.resume()
  let complaint = ''
  execution.stderr.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString('utf8')).slice(-400)
  })
  const late = setTimeout(() => execution.kill('SIGKILL'), applyMs)
  const { code, signal } = await execution.exited.finally(() => clearTimeout(late))
  if (code === 0) return
  const end = signal === null ? `exited with code ${code}` : `was killed by ${signal}`
  throw new SlopboxError('upstream_failed', `${command.join(' ')} ${end}: ${complaint.trim()}`, { hint: null })
}
