import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Reads one credential file from the process's own directory (mode 0700, owned by its user). Never put it in a config object. */
export function readCredential(directory: string, name: string): string {
  const value = readFileSync(join(directory, name), 'utf8').trim()
  if (value === '') throw new Error(`credential ${name} is empty`)
  return value
}
