/**
 * Templates on this host: built when wanted ahead or when a sandbox needs one, parents first, one build at a time. A
 * failed build keeps its reason and its last lines, and is tried again with back-off or when control asks anew.
 */
import { join } from 'node:path'
import type { z } from 'zod'
import { SlopboxError } from '../contract/errors.ts'
import type { DesiredTemplate, ObservedTemplate } from '../contract/sync.ts'
import type { BuildProgress } from '../contract/templates.ts'
import { backOffMs } from '../lib/back-off.ts'
import type { Log } from '../lib/log.ts'
import { Slots } from '../lib/slots.ts'
import type { Driver, TemplateRoot } from './driver.ts'
import type { Registries } from './registries.ts'
import { buildTemplate } from './template-build.ts'
import { openTemplateFiles, sizeOf } from './template-files.ts'

/** What the reconciler wants of templates. */
export interface TemplateRoots {
  /** Says whether the template can be used, and begins to build it when it cannot. */
  need(key: string): { ready: boolean; reason: string | null }
  /** Throws unless it is ready. */
  root(key: string): TemplateRoot
  /** True for the sandboxes that templates are built in. */
  owns(sandboxId: string): boolean
}

export interface Templates extends TemplateRoots, AsyncDisposable {
  setDesired(templates: readonly DesiredTemplate[]): void
  /** Begins what is wanted ahead and what is due again. */
  tick(): void
  observed(): z.infer<typeof ObservedTemplate>[]
  /** Removes what builds of an earlier life left. */
  cleanUp(): Promise<void>
}

export interface TemplateDeps {
  driver: Driver
  directory: string
  registries: () => Promise<Registries>
  now: () => number
  log: Log
  onChange: () => void
  /** A template became ready or failed. */
  wake: () => void
}

interface Build {
  done: Promise<void>
  progress: BuildProgress | null
}
interface Failure {
  reason: string
  buildId: string
  progress: BuildProgress | null
  attempts: number
  retryAt: number
}

const retryBackOff = { firstMs: 10_000, maxMs: 15 * 60_000 }
/** Output of a build is reported at most this often. */
const progressMs = 250
const buildPrefix = 'bd'

export function createTemplates(deps: TemplateDeps): Templates {
  const files = openTemplateFiles(deps.directory, deps.log)
  const builds = new Map<string, Build>()
  const failures = new Map<string, Failure>()
  const stop = new AbortController()
  const slot = new Slots(1)
  const changed = throttled(deps.onChange, progressMs)
  let desired = new Map<string, DesiredTemplate>()

  const make = async (template: DesiredTemplate, build: Build): Promise<void> => {
    const { from } = template
    const parent = from.kind === 'template' ? from.key : null
    if (parent !== null && files.root(parent) === undefined) await ensure(parent)
    await slot.run(async () => {
      stop.signal.throwIfAborted()
      const directory = files.begin(template.key)
      const layers =
        deps.driver.bringsRoots === true
          ? []
          : await buildTemplate({
              driver: deps.driver,
              template,
              parent: parent === null ? null : rootOf(parent),
              registries: deps.registries,
              directory,
              bootstrapDirectory: join(deps.directory, '.bootstrap'),
              signal: stop.signal,
              onProgress(progress) {
                build.progress = progress
                changed()
              },
            })
      const { key, name, env, user, cwd } = template
      const builtAt = new Date(deps.now()).toISOString()
      files.finish(key, { key, name, parent, layers, env, user, cwd, sizeBytes: await sizeOf(directory), builtAt })
    })
  }

  /** Resolves when the template is ready; rejects with why it is not. */
  const ensure = (key: string): Promise<void> => {
    const template = desired.get(key)
    if (template === undefined) throw new SlopboxError('not_found', `template ${key} is not known to this host`)
    const under = builds.get(key)
    if (under !== undefined) return under.done
    const build: Build = { done: Promise.resolve(), progress: null }
    builds.set(key, build)
    build.done = make(template, build).then(
      () => void failures.delete(key),
      (error: unknown) => {
        if (!stop.signal.aborted) fail(template, build, error)
        throw error
      },
    )
    build.done
      .catch(() => {})
      .finally(() => {
        builds.delete(key)
        deps.onChange()
        deps.wake()
      })
    deps.onChange()
    return build.done
  }

  const fail = (template: DesiredTemplate, { progress }: Build, error: unknown): void => {
    const attempts = (failures.get(template.key)?.attempts ?? 0) + 1
    const known = error instanceof SlopboxError
    const reason = known ? error.message : 'the build broke off; the log of the host tells why'
    const retryAt = deps.now() + backOffMs(attempts - 1, retryBackOff)
    failures.set(template.key, { reason, buildId: template.buildId, progress, attempts, retryAt })
    deps.log.error(
      { template: template.key, attempts, err: error },
      `template ${template.name} could not be built: ${reason}`,
    )
    files.discard(template.key)
  }

  const due = (template: DesiredTemplate): boolean => {
    const failure = failures.get(template.key)
    return failure === undefined || failure.buildId !== template.buildId || deps.now() >= failure.retryAt
  }
  const begin = (template: DesiredTemplate): void => {
    if (builds.has(template.key) || !due(template) || stop.signal.aborted) return
    // Its failure is kept for all who need it, and logged there.
    ensure(template.key).catch(() => {})
  }
  const rootOf = (key: string): TemplateRoot => {
    const root = files.root(key)
    if (root === undefined) throw new SlopboxError('not_found', `template ${key} is not on this host`)
    return root
  }
  const observe = (template: DesiredTemplate): z.infer<typeof ObservedTemplate> => {
    const { key } = template
    const sizeBytes = files.get(key)?.sizeBytes ?? null
    if (files.root(key) !== undefined) return { key, state: 'ready', reason: null, progress: null, sizeBytes }
    const build = builds.get(key)
    if (build !== undefined) return { key, state: 'building', reason: null, progress: build.progress, sizeBytes: null }
    const failure = failures.get(key)
    if (failure === undefined) return { key, state: 'absent', reason: null, progress: null, sizeBytes: null }
    return { key, state: 'failed', reason: failure.reason, progress: failure.progress, sizeBytes: null }
  }

  return {
    setDesired(templates) {
      desired = new Map(templates.map((template) => [template.key, template]))
    },
    tick() {
      for (const template of desired.values())
        if (template.wanted && files.root(template.key) === undefined) begin(template)
    },
    need(key) {
      if (files.root(key) !== undefined) return { ready: true, reason: null }
      const template = desired.get(key)
      if (template === undefined) return { ready: false, reason: `template ${key} is not known to this host` }
      begin(template)
      if (builds.has(key)) return { ready: false, reason: null }
      const reason = failures.get(key)?.reason ?? null
      return { ready: false, reason: reason && `template ${template.name} could not be built: ${reason}` }
    },
    root: rootOf,
    owns: (id) => id.startsWith(buildPrefix),
    observed: () => [...desired.values()].map(observe),
    async cleanUp() {
      for (const id of (await deps.driver.list()).keys())
        if (id.startsWith(buildPrefix)) await deps.driver.destroy(id, [])
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await Promise.allSettled([...builds.values()].map((build) => build.done))
    },
  }
}

/** Calls through at once, then at most once per `ms`; the last call is never lost. */
function throttled(call: () => void, ms: number): () => void {
  let quiet = false
  let missed = false
  const fire = (): void => {
    quiet = true
    call()
    setTimeout(() => {
      quiet = false
      if (missed) fire()
      missed = false
    }, ms).unref()
  }
  return () => {
    if (quiet) missed = true
    else fire()
  }
}
