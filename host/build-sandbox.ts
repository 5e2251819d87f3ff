import { createInterface } from 'node:readline'
import { stripVTControlCharacters } from 'node:util'
import { SlopboxError } from '../contract/errors.ts'
import { withDeadline } from '../lib/deadline.ts'
import type { Driver, DriverFile, TemplateRoot } from './driver.ts'

export interface BuildRun {
  title: string
  script: string
  timeoutMs: number
  onLine: (line: string) => void
  signal: AbortSignal
}

/** A sandbox that a template is built in. Its own changes become a layer. */
export interface BuildSandbox {
  /** Runs a script as root. Throws with its end and its last line when it fails. */
  run(run: BuildRun): Promise<void>
  /** Stops it and puts what it changed into the empty directory. It can only be destroyed afterwards. */
  saveTo(directory: string): Promise<void>
}

const verbMs = 120_000
const size = { cpus: 4, memoryMiB: 4096, diskGiB: 20 }

/**
 * Makes a build sandbox, hands it over, and destroys it whatever happens. Its id is the build's, so that egress gives it
 * the build's policy.
 */
export async function withBuildSandbox<T>(
  driver: Driver,
  id: string,
  template: TemplateRoot,
  files: readonly DriverFile[],
  environment: Readonly<Record<string, string>>,
  work: (sandbox: BuildSandbox) => Promise<T>,
): Promise<T> {
  const isolation = driver.isolations[0]
  if (driver.exportLayer === undefined || driver.exec === undefined || isolation === undefined)
    throw new SlopboxError('wrong_state', `driver ${driver.name} cannot build templates`)
  const destroy = (): Promise<void> => withDeadline('destroying the build sandbox', verbMs, driver.destroy(id, []))
  await destroy()
  try {
    const spec = { template, isolation, size, env: {}, user: 'root', cwd: '/', start: null, files: [], volumes: [] }
    await withDeadline('creating the build sandbox', verbMs, driver.create(id, { ...spec, power: 'build' }))
    await driver.writeFiles?.(id, files)
    await withDeadline('starting the build sandbox', verbMs, driver.start(id))
    return await work({
      run: (run) => runScript(driver, id, environment, run),
      async saveTo(directory) {
        await withDeadline('stopping the build sandbox', verbMs, driver.stop(id))
        await driver.exportLayer?.(id, directory)
      },
    })
  } finally {
    await destroy()
  }
}

async function runScript(
  driver: Driver,
  id: string,
  env: Readonly<Record<string, string>>,
  { title, script, timeoutMs, onLine, signal }: BuildRun,
): Promise<void> {
  signal.throwIfAborted()
  if (driver.exec === undefined) throw new SlopboxError('wrong_state', `driver ${driver.name} cannot run commands`)
  const execution = await driver.exec(id, { command: ['/bin/sh', '-c', script], env, cwd: '/', user: 'root' })
  execution.stdin.on('error', () => {})
  execution.stdin.end()
  let last = ''
  const hear = (text: string): void => {
    const line = plain(text)
    if (line === '') return
    last = line
    onLine(line)
  }
  for (const output of [execution.stdout, execution.stderr]) createInterface({ input: output }).on('line', hear)
  const timeUp = AbortSignal.timeout(timeoutMs)
  const stop = AbortSignal.any([signal, timeUp])
  const kill = (): void => execution.kill('SIGKILL')
  stop.addEventListener('abort', kill, { once: true })
  const end = await execution.exited.finally(() => stop.removeEventListener('abort', kill))
  signal.throwIfAborted()
  if (timeUp.aborted) throw new SlopboxError('timeout', `${title}: takes longer than ${timeoutMs / 60_000} minutes`)
  if (end.code === 0) return
  const how = end.signal === null ? `exited with code ${end.code}` : `was killed by ${end.signal}`
  throw new SlopboxError('upstream_failed', `${title}: ${how}${last === '' ? '' : `: ${last}`}`, { hint: null })
}

const maxLineLength = 300

/** A line as a person would have seen it: terminal sequences and overwritten parts removed. */
export function plain(text: string): string {
  const shown = stripVTControlCharacters(text).split('\r')
  const last = shown.findLast((part) => part.trim() !== '') ?? ''
  return last
    .replaceAll(/\p{Cc}/gu, ' ')
    .trimEnd()
    .slice(0, maxLineLength)
}
