import type { Template } from '../../contract/templates.ts'
import { pause } from '../../lib/loop.ts'
import { SlopboxError } from '../../contract/errors.ts'
import type { Slopbox } from '../../sdk/index.ts'
import { OpsError, type Say } from '../say.ts'

const pollMs = 500

/** Builds a template unless it is there, telling each step once. Resolves when it is ready; throws when it fails. */
export async function followTemplate(client: Slopbox, name: string, say: Say, signal: AbortSignal): Promise<void> {
  let told = ''
  let asked = false
  while (!signal.aborted) {
    const template = await readTemplate(client, name)
    if (template?.state === 'ready') {
      if (told !== '')
        say(`template ${name}: ready${template.sizeBytes === null ? '' : `, ${mebibytes(template.sizeBytes)}`}`)
      return
    }
    if (template?.state === 'failed' && asked) {
      throw new OpsError(
        `template ${name} could not be built: ${template.reason ?? 'no reason given'}`,
        `Look at \`slopbox logs host\`; the next start, or \`slopbox template build ${name}\`, tries again.`,
      )
    }
    if (!asked && (template?.state === 'failed' || template?.state === 'absent')) {
      asked = true
      await client.templates.build(name)
    }
    if (template?.state === 'building') asked = true
    const line = progressLine(name, template)
    if (line !== null && line !== told) {
      say(line)
      told = line
    }
    await pause(pollMs, signal)
  }
}

/** Right after a start the gateway or control may still be finding each other. */
async function readTemplate(client: Slopbox, name: string): Promise<Template | null> {
  try {
    return await client.templates.get(name)
  } catch (error) {
    if (error instanceof SlopboxError && (error.code === 'unavailable' || error.code === 'upstream_failed')) return null
    throw error
  }
}

export function progressLine(name: string, template: Template | null): string | null {
  if (template === null) return null
  if (template.progress === null) return `template ${name}: ${template.state}`
  const { step, steps, title } = template.progress
  return `template ${name}: ${step}/${steps} ${title}`
}

const mebibytes = (bytes: number): string => `${Math.round(bytes / 1024 / 1024)} MiB`
