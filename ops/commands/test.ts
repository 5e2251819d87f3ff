import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { availableParallelism } from 'node:os'
import { pathToFileURL } from 'node:url'
import { appDirectory } from '../paths.ts'
import { OpsError, sayOnStderr } from '../say.ts'
import { ensurePackages } from '../setup/packages.ts'

export const testUsage = 'slopbox test [--only unit|e2e|checks] [FILE…]'

const checks: readonly (readonly [string, ...string[]])[] = [
  ['tsc', '--noEmit'],
  ['oxlint', '--type-aware'],
  ['oxfmt', '--check'],
]

/** `slopbox test`: sets up what the tests need, then types, lint, format and every test, in that order, all of them. */
export async function test(args: readonly string[]): Promise<number> {
  const say = sayOnStderr()
  const { only, files } = readArguments(args)
  if (only !== 'unit') ensurePackages('test', say)
  const failed: string[] = []
  if (files.length === 0 && only !== 'e2e') {
    for (const [tool, ...options] of checks) {
      say(`${tool} ${options.join(' ')}`)
      if (!run(join(appDirectory, 'node_modules', '.bin', tool), options)) failed.push(tool)
    }
  }
  if (only !== 'checks') {
    const selected = selectFiles(only, files)
    say(`node --test: ${selected.length} files`)
    const runner = [
      '--test',
      // A bound on what hangs, beyond any single test; the longest ones (builds of templates) name their own.
      '--test-timeout=600000',
      `--import=${pathToFileURL(join(appDirectory, 'scripts/test-process.ts')).href}`,
      `--test-concurrency=${Math.max(2, availableParallelism())}`,
      '--test-reporter=spec',
    ]
    if (!run(process.execPath, [...runner, ...selected])) failed.push('tests')
  }
  if (failed.length > 0) say(`failed: ${failed.join(', ')}`)
  return failed.length === 0 ? 0 : 1
}

function readArguments(args: readonly string[]): { only: string | null; files: string[] } {
  const at = args.indexOf('--only')
  const only = at === -1 ? null : (args[at + 1] ?? '')
  if (only !== null && !['unit', 'e2e', 'checks'].includes(only)) {
    throw new OpsError(`--only ${only} is none of unit, e2e, checks`, `Usage: ${testUsage}`)
  }
  const files = at === -1 ? [...args] : args.filter((_, index) => index !== at && index !== at + 1)
  const flag = files.find((file) => file.startsWith('-'))
  if (flag !== undefined) throw new OpsError(`there is no option ${flag}`, `Usage: ${testUsage}`)
  return { only, files }
}

/** Every test file, or those whose path contains one of the given words. The end-to-end tests are the long ones: first. */
function selectFiles(only: string | null, words: readonly string[]): string[] {
  const all = globSync('**/*.test.ts', { cwd: appDirectory, exclude: ['**/node_modules/**', '**/dist/**'] }).toSorted()
  const [long, short] = [all.filter((file) => file.startsWith('e2e/')), all.filter((file) => !file.startsWith('e2e/'))]
  const kind = only === 'unit' ? short : only === 'e2e' ? long : [...long, ...short]
  const wanted = words.map((word) => (word.includes('/') ? relative(appDirectory, resolve(word)) : word))
  const selected = words.length === 0 ? kind : kind.filter((file) => wanted.some((word) => file.includes(word)))
  if (selected.length === 0) throw new OpsError(`no test file matches ${words.join(' ')}`, `Usage: ${testUsage}`)
  return selected
}

/** Runs a tool with the operator's own settings left out, so that the tests see an ordinary machine. */
function run(program: string, args: readonly string[]): boolean {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SLOPBOX_')))
  const result = spawnSync(program, args, { cwd: appDirectory, stdio: 'inherit', env: { ...env, FORCE_COLOR: '0' } })
  if (result.error)
    throw new OpsError(`${program} does not run: ${result.error.message}`, 'Remove node_modules and try again.')
  return result.status === 0
}
