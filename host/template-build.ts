import { mkdir, rename, rm } from 'node:fs/promises'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SlopboxError } from '../contract/errors.ts'
import type { DesiredTemplate } from '../contract/sync.ts'
import type { BuildProgress } from '../contract/templates.ts'
import { closure, debianScript, makeBootstrapRoot, npmrcFile, parseInstalled, sourcesFile } from './bootstrap.ts'
import { withBuildSandbox, type BuildSandbox } from './build-sandbox.ts'
import type { Driver, DriverFile, TemplateRoot } from './driver.ts'
import { hashOf } from './hash.ts'
import { printAptSources, type Registries } from './registries.ts'

export interface TemplateBuild {
  driver: Driver
  template: DesiredTemplate
  /** Root of the parent; null for a Debian base. */
  parent: TemplateRoot | null
  registries: () => Promise<Registries>
  /** An empty directory; layers are made in it. */
  directory: string
  /** Where the root for building bases is kept between builds. */
  bootstrapDirectory: string
  onProgress: (progress: BuildProgress) => void
  signal: AbortSignal
}

const stepMs = 30 * 60_000
const maxLines = 20

/** Builds a template's layers and returns their names, topmost first. Throws with the step that failed. */
export async function buildTemplate(build: TemplateBuild): Promise<string[]> {
  const { template } = build
  const registries = await build.registries()
  const progress = progressOf(build)
  let root = build.parent
  const layers: string[] = []
  if (template.from.kind === 'debian') {
    progress.begin(`install ${registries.codename} packages`)
    const base = await progress.failing(buildDebian(build, registries, template.from.packages, progress.line))
    layers.unshift(base)
    root = { key: template.key, layers: [join(build.directory, base)], env: template.env, user: 'root', cwd: '/' }
  }
  if (root === null) throw new SlopboxError('internal', `template ${template.key} has no parent`)
  if (template.steps.length === 0) return layers
  const below = { ...root, env: { ...root.env, ...template.env } }
  await withBuildSandbox(
    build.driver,
    template.buildId,
    below,
    machineFiles(registries),
    buildEnvironment(registries),
    async (sandbox) => {
      for (const { title, run } of template.steps) {
        progress.begin(title)
        await progress.failing(step(build, sandbox, title, run, progress.line))
      }
      progress.begin('save the layer')
      await mkdir(join(build.directory, 'steps'), { mode: 0o755 })
      await sandbox.saveTo(join(build.directory, 'steps'))
    },
  )
  layers.unshift('steps')
  return layers
}

const step = (
  build: TemplateBuild,
  sandbox: BuildSandbox,
  title: string,
  script: string,
  onLine: (line: string) => void,
) => sandbox.run({ title, script, timeoutMs: stepMs, onLine, signal: build.signal })

async function buildDebian(
  build: TemplateBuild,
  registries: Registries,
  packages: readonly string[],
  onLine: (line: string) => void,
): Promise<string> {
  if (registries.apt.length === 0)
    throw new SlopboxError(
      'unavailable',
      `no package source for ${registries.codename || 'this distribution'} in /etc/apt`,
      {
        hint: "Templates are built from this machine's own Debian or Ubuntu sources: check /etc/apt/sources.list.d.",
      },
    )
  const layer = await bootstrapRoot(build, registries)
  const root = { key: 'bootstrap', layers: [layer], env: { PATH: '/usr/sbin:/usr/bin' }, user: 'root', cwd: '/' }
  const keyrings = registries.apt.flatMap(({ signedBy }) => (signedBy?.startsWith('/') ? [signedBy] : []))
  const script = debianScript(registries.codename, packages, [...new Set(keyrings)])
  const saved = join(build.directory, 'saved')
  const { driver, template } = build
  await withBuildSandbox(
    driver,
    template.buildId,
    root,
    machineFiles(registries),
    buildEnvironment(registries),
    async (sandbox) => {
      await step(build, sandbox, 'mmdebstrap', script, onLine)
      await mkdir(saved, { mode: 0o755 })
      await sandbox.saveTo(saved)
    },
  )
  if (!existsSync(join(saved, 'out/usr'))) throw new SlopboxError('internal', 'mmdebstrap left no root behind')
  await rename(join(saved, 'out'), join(build.directory, 'base'))
  await rm(saved, { recursive: true })
  return 'base'
}

/** Made once per set of installed versions, and complete when it has its final name. */
async function bootstrapRoot(build: TemplateBuild, registries: Registries): Promise<string> {
  const packages = closure(parseInstalled(readFileSync('/var/lib/dpkg/status', 'utf8')))
  const versions = packages.map(({ name, version, architecture }) => `${name}:${architecture}=${version}`)
  const final = join(build.bootstrapDirectory, hashOf([versions, registries.apt]))
  if (existsSync(final)) return final
  await rm(build.bootstrapDirectory, { recursive: true, force: true })
  await mkdir(`${final}.new`, { recursive: true, mode: 0o755 })
  await makeBootstrapRoot(`${final}.new`, packages, registries)
  await rename(`${final}.new`, final)
  return final
}

function machineFiles(registries: Registries): DriverFile[] {
  return [
    { path: sourcesFile, content: printAptSources(registries.apt), executable: false },
    { path: npmrcFile, content: registries.npmrc, executable: false },
  ]
}

/** What a build needs beyond what the driver tells everything inside: proxy and certificates are among that. */
function buildEnvironment(registries: Registries): Record<string, string> {
  const registry = /^registry=(.*)$/m.exec(registries.npmrc)?.[1]
  return {
    HOME: '/root',
    DEBIAN_FRONTEND: 'noninteractive',
    npm_config_userconfig: `/etc/slopbox/${npmrcFile}`,
    ...(registry === undefined ? {} : { npm_config_registry: registry }),
  }
}

interface Progress {
  begin(title: string): void
  line: (line: string) => void
  /** Names the step in the error. */
  failing(work: Promise<string>): Promise<string>
  failing(work: Promise<void>): Promise<void>
}

function progressOf({ template, onProgress }: TemplateBuild): Progress {
  const steps = template.steps.length + (template.from.kind === 'debian' ? 1 : 0) + (template.steps.length > 0 ? 1 : 0)
  let now: BuildProgress = { step: 0, steps, title: 'prepare', lines: [] }
  const set = (next: BuildProgress): void => {
    now = next
    onProgress(now)
  }
  const failing = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (error) {
      if (!(error instanceof SlopboxError)) throw error
      const where = `step ${now.step} of ${now.steps}, ${now.title}: ${error.message.replace(`${now.title}: `, '')}`
      throw new SlopboxError(error.code, where, { cause: error, hint: error.hint })
    }
  }
  return {
    begin: (title) => set({ ...now, step: now.step + 1, title }),
    line: (line) => set({ ...now, lines: [...now.lines, line].slice(-maxLines) }),
    failing: failing as Progress['failing'],
  }
}
