import { z } from 'zod'

/**
 * One typed value from the environment, read once by `main.ts`. Unknown `SLOPBOX_*` variables are refused, so that a
 * misspelt setting stops the start instead of being ignored; all faults are reported together.
 */
export function readConfig<T extends z.ZodRawShape>(
  schema: z.ZodObject<T>,
  env: Readonly<Record<string, string | undefined>>,
): z.output<z.ZodObject<T>> {
  const given = Object.fromEntries(
    Object.entries(env).filter(([name, value]) => name.startsWith('SLOPBOX_') && value !== undefined),
  )
  const result = z.strictObject(schema.shape).safeParse(given)
  if (!result.success) throw new ConfigError(z.prettifyError(result.error))
  return Object.freeze(result.data) as z.output<z.ZodObject<T>>
}

/** The operator's mistake, to be printed without a stack. */
export class ConfigError extends Error {
  override name = 'ConfigError'
  constructor(faults: string) {
    super(`bad configuration:\n${faults}`)
  }
}

export interface ConfigEntry {
  name: string
  description: string
  default: string | null
}

/** The schema as rows for the documentation. */
export function describeConfig(schema: z.ZodObject): ConfigEntry[] {
  return Object.entries(schema.shape).map(([name, field]) => {
    const absent = field.safeParse(undefined)
    return {
      name,
      description: field.description ?? '',
      default: absent.success ? (JSON.stringify(absent.data) ?? '') : null,
    }
  })
}
