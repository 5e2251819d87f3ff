/** One page of a list. */
export interface Page<T> {
  items: T[]
  nextCursor: string | null
}

/** Every item of a list, page after page, fetched as the loop gets there. */
export async function* allPages<T>(
  fetchPage: (cursor: string | undefined) => Promise<Page<T>>,
): AsyncGenerator<T, void, undefined> {
  let cursor: string | undefined
  do {
    const page = await fetchPage(cursor)
    yield* page.items
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
}
