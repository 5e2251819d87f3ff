import { useState } from 'react'
import type { z } from 'zod'
import { SlopboxError } from '../../contract/errors.ts'
import { placeErrors, sentence, tell, type Told } from './errors.ts'

export interface Form<V> {
  values: V
  set: <K extends keyof V>(field: K, value: V[K]) => void
  setAll: (values: V) => void
  /** The error of a field, by the name the API knows it by (`model.baseUrl`). */
  error: (apiField: string) => string | undefined
  /** What concerns the form as a whole. */
  problem: Told | null
  busy: boolean
  submit: () => Promise<void>
  reset: (values: V) => void
}

/**
 * A form whose values have the shape of the screen. On submit they become the route's body, are checked with the route's
 * own schema, sent, and whatever is refused (here or by the server) is placed on the field it names.
 */
export function useForm<V extends object, B extends z.ZodType>(init: {
  initial: V
  schema: B
  toBody: (values: V) => unknown
  send: (body: z.input<B>) => Promise<unknown>
  /** API field names that have a place on the screen. */
  fields: readonly string[]
}): Form<V> {
  const [values, setValues] = useState(init.initial)
  const [errors, setErrors] = useState<Record<string, string>>({})
  const [problem, setProblem] = useState<Told | null>(null)
  const [busy, setBusy] = useState(false)
  // After a first try errors follow the typing, so that they go as soon as the field is right.
  const [tried, setTried] = useState(false)

  const check = (next: V): boolean => {
    const parsed = init.schema.safeParse(init.toBody(next))
    const placed = parsed.success ? { byField: {}, rest: null } : placeIssues(parsed.error.issues, init.fields)
    setErrors(placed.byField)
    setProblem(placed.rest === null ? null : { message: placed.rest, hint: null, requestId: null })
    return parsed.success
  }
  const submit = async (): Promise<void> => {
    if (busy) return
    setTried(true)
    if (!check(values)) {
      requestAnimationFrame(() => document.querySelector<HTMLElement>('[aria-invalid=true]')?.focus())
      return
    }
    setBusy(true)
    try {
      await init.send(init.toBody(values) as z.input<B>)
    } catch (error) {
      const told = tell(error)
      if (error instanceof SlopboxError && (error.code === 'invalid_request' || error.code === 'conflict')) {
        const placed = placeErrors(error.message, init.fields)
        setErrors(placed.byField)
        setProblem(placed.rest === null ? null : { ...told, message: placed.rest })
      } else setProblem(told)
    } finally {
      setBusy(false)
    }
  }
  const setAll = (next: V): void => {
    setValues(next)
    if (tried) check(next)
  }
  return {
    values,
    set: (field, value) => setAll({ ...values, [field]: value }),
    setAll,
    error: (field) => errors[field],
    problem,
    busy,
    submit,
    reset: (next) => {
      setValues(next)
      setErrors({})
      setProblem(null)
      setTried(false)
    },
  }
}

function placeIssues(issues: readonly z.core.$ZodIssue[], fields: readonly string[]) {
  const lines = issues.map((issue) => `${issue.path.map(String).join('.') || 'form'}: ${plain(issue)}`)
  const placed = lines.map((line) => placeErrors(line, fields))
  return {
    byField: Object.assign({}, ...placed.map((p) => p.byField).reverse()) as Record<string, string>,
    rest: placed.map((p) => p.rest).find((rest) => rest !== null) ?? null,
  }
}

/** Zod's words for the most usual mistakes, as one would say them. */
function plain(issue: z.core.$ZodIssue): string {
  if (issue.code === 'too_small' && issue.origin === 'string' && issue.minimum === 1) return 'required'
  if (issue.code === 'too_small' && issue.origin === 'string') return `at least ${issue.minimum} characters`
  if (issue.code === 'too_big' && issue.origin === 'string') return `at most ${issue.maximum} characters`
  if (issue.code === 'too_small' && issue.origin === 'number') return `at least ${issue.minimum}`
  if (issue.code === 'too_big' && issue.origin === 'number') return `at most ${issue.maximum}`
  if (issue.code === 'invalid_format' && issue.format === 'url') return 'must be a full http or https address'
  if (issue.code === 'invalid_format' && issue.format === 'email') return 'must be an email address'
  if (issue.code === 'invalid_type')
    return issue.expected === 'number' || issue.expected === 'int' ? 'must be a number' : 'required'
  return sentence(issue.message.replaceAll('; ', ', '))
}
