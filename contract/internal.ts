/** What `slopbox up` asks control while it sets an installation up, over the private socket with `operator.token`. */
import { z } from 'zod'
import { route } from './route.ts'

export const bootstrap = route({
  id: 'internal.bootstrap',
  method: 'POST',
  path: '/internal/bootstrap',
  summary: 'Create the first operator and a key, when there is no operator yet',
  body: z.strictObject({ email: z.email().default('operator@slopbox.localhost') }),
  reply: z.object({
    created: z.boolean(),
    email: z.string(),
    /** Both only in the answer that created them. */
    password: z.string().nullable(),
    apiKey: z.string().nullable(),
  }),
})
export const createSignInLink = route({
  id: 'internal.signInLink',
  method: 'POST',
  path: '/internal/sign-in-link',
  summary: 'A one-time token the console redeems at /sign-in#token=…; valid for 24 hours',
  body: z.strictObject({
    email: z.email().optional().describe('Default: the operator who has been here longest.'),
  }),
  reply: z.object({ token: z.string(), email: z.string(), expiresAt: z.iso.datetime() }),
  errors: ['not_found'],
})
export const internalHealth = route({
  id: 'internal.health',
  method: 'GET',
  path: '/internal/health',
  summary: 'Is control up, and does the database answer?',
  reply: z.object({ ok: z.literal(true), version: z.string() }),
  errors: ['unavailable'],
})
