import { SlopboxError } from '../../contract/errors.ts'

/** What a person needs of a failure: what, what next, and the id to quote. */
export interface Told {
  message: string
  hint: string | null
  requestId: string | null
}

export function tell(error: unknown): Told {
  if (error instanceof SlopboxError)
    return { message: sentence(error.message), hint: error.hint, requestId: error.requestId }
  const message = error instanceof Error ? error.message : String(error)
  return { message: sentence(message), hint: 'Reload the page; if it repeats, tell your operator.', requestId: null }
}

/** Server messages are lower-case fragments that chain; on a page they begin like a sentence. */
export const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

export const isCode = (error: unknown, code: SlopboxError['code']): boolean =>
  error instanceof SlopboxError && error.code === code

/**
 * Places a server's refusal on the fields of a form. The API names a field as `body.model.baseUrl: reason`; several are
 * separated by `; `. What names no known field is left for the form as a whole.
 */
export function placeErrors(
  message: string,
  fields: readonly string[],
): { byField: Record<string, string>; rest: string | null } {
  const byField: Record<string, string> = {}
  const rest: string[] = []
  for (const part of message.split(/;\s+|\n+/)) {
    const match = /^(?:body\.|params\.|query\.)?([A-Za-z][\w.]*):\s+(.+)$/.exec(part.trim())
    const field = match?.[1]
    const reason = match?.[2]
    const known = fields.find((f) => f === field) ?? fields.find((f) => field?.startsWith(`${f}.`) === true)
    if (known !== undefined && reason !== undefined) byField[known] ??= sentence(reason)
    else if (part.trim() !== '') rest.push(part.trim())
  }
  return { byField, rest: rest.length === 0 ? null : sentence(rest.join('; ')) }
}
