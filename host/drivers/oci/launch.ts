import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { toolEnv } from './process.ts'

const helper = fileURLToPath(new URL('launch.pl', import.meta.url))

/** A step of the helper's plan: a verb of launch.pl and its arguments. */
export type Step = readonly [string, ...string[]]

/** How a plan is written on the helper's command line, after the interpreter. Arguments must not hold tabs. */
export function planArguments(steps: readonly Step[]): string[] {
  for (const argument of steps.flat()) {
    if (/[\t\0]/.test(argument)) throw new Error(`argument with a tab or a null byte: ${JSON.stringify(argument)}`)
  }
  return [helper, process.arch, ...steps.map((step) => step.join('\t'))]
}

/**
 * Carries out a plan in a process of its own session, which outlives this one. Resolves when the helper says `ok`;
 * throws with its reason.
 */
export function launch(steps: readonly Step[], outputFile: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const output = openSync(outputFile, 'a', 0o600)
    const child = spawn('perl', planArguments(steps), {
      env: toolEnv,
      detached: true,
      stdio: ['ignore', 'pipe', output],
    })
    closeSync(output)
    child.unref()
    let said = ''
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (said += text))
    child.on('error', reject)
    child.stdout?.on('close', () => {
      if (said.startsWith('ok\n')) resolve()
      else reject(new Error(said.replace(/^error /, '').trim() || 'the launch helper was killed'))
    })
  })
}
