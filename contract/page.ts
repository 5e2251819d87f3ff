import { z } from 'zod'

/** Query of every list: newest first, `cursor` from the page before. */
export const PageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(200).default(50).describe('Items in a page.'),
  cursor: z.string().max(200).optional().describe('`nextCursor` of the page before.'),
})

/** A page of items. `nextCursor` is null on the last one. */
export const pageOf = <T extends z.ZodType>(
  item: T,
): z.ZodObject<{ items: z.ZodArray<T>; nextCursor: z.ZodNullable<z.ZodString> }> =>
  z.object({ items: z.array(item), nextCursor: z.string().nullable() })

export const Timestamp = z.iso.datetime().describe('RFC 3339, UTC.')
export const Name = z
  .string()
  .trim()
  .min(1)
  .max(63)
  .regex(
    /^[\p{L}\p{N}][\p{L}\p{N} ._'-]*$/u,
    "must start with a letter or digit; letters, digits, space and . _ ' - may follow",
  )
export const Done = z.object({ ok: z.literal(true) })
