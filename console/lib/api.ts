import {
  infiniteQueryOptions,
  keepPreviousData,
  queryOptions,
  useInfiniteQuery,
  useMutation,
  useQuery,
  useQueryClient,
  type InfiniteData,
  type QueryKey,
  type UseInfiniteQueryResult,
  type UseMutationResult,
  type UseQueryResult,
} from '@tanstack/react-query'
import type { Output, Route } from '../../contract/route.ts'
import { call, type ClientOptions, type Given } from '../../sdk/call.ts'
import { showError } from './notify.ts'

/** The page's own origin and its session cookie. */
export const client: ClientOptions = {}

/** The key of a query: the route's id and what was asked. Nobody types a key by hand. */
export const keyOf = <R extends Route>(route: R, given?: Given<R>): QueryKey =>
  given === undefined ? [route.id] : [route.id, given.params ?? {}, given.query ?? {}]

export interface AskOptions<R extends Route> {
  enabled?: boolean
  /** Milliseconds until asked again; false: not by itself. May depend on what came back. */
  every?: number | false | ((data: Output<R> | undefined) => number | false)
  /** Milliseconds for which an answer counts as fresh. */
  freshMs?: number
  /** While other parameters load, keep showing the answer to the old ones. */
  keep?: boolean
}

/** Asks a route of the contract and keeps the answer under the route's key. */
export function useApi<R extends Route>(
  route: R,
  given: Given<R> = {} as Given<R>,
  options: AskOptions<R> = {},
): UseQueryResult<Output<R>> {
  const { enabled = true, every = false, freshMs, keep = false } = options
  return useQuery(
    queryOptions<Output<R>>({
      queryKey: keyOf(route, given),
      queryFn: ({ signal }) => call(client, route, { ...given, signal }),
      enabled,
      refetchInterval: typeof every === 'function' ? (query) => every(query.state.data) : every,
      ...(freshMs === undefined ? {} : { staleTime: freshMs }),
      ...(keep ? { placeholderData: keepPreviousData } : {}),
    }),
  )
}

interface Page<T> {
  items: T[]
  nextCursor: string | null
}
type ItemOf<R extends Route> = Output<R> extends Page<infer T> ? T : never

/** Asks a list route page by page. */
export function usePages<R extends Route>(
  route: R,
  given: { params?: unknown; query?: Record<string, unknown> },
  options: { every?: number | false } = {},
): UseInfiniteQueryResult<ItemOf<R>[]> {
  return useInfiniteQuery(
    infiniteQueryOptions<Page<ItemOf<R>>, Error, ItemOf<R>[], QueryKey, string | undefined>({
      queryKey: [route.id, given.params ?? {}, given.query ?? {}, 'pages'],
      queryFn: async ({ signal, pageParam }) => {
        const query = pageParam === undefined ? given.query : { ...given.query, cursor: pageParam }
        const input = { ...given, query, signal } as unknown as Given<R>
        return (await call(client, route, input)) as Page<ItemOf<R>>
      },
      initialPageParam: undefined,
      getNextPageParam: (last) => last.nextCursor ?? undefined,
      select: (data: InfiniteData<Page<ItemOf<R>>, string | undefined>) => data.pages.flatMap((page) => page.items),
      refetchInterval: options.every ?? false,
      // With other filters the old rows stay until the new ones are here.
      placeholderData: keepPreviousData,
    }),
  )
}

interface DoOptions<R extends Route> {
  /** Routes whose answers may have changed. */
  invalidates?: readonly Route[]
  onDone?: (reply: Output<R>, given: Given<R>) => void
  /** A failure is shown as a toast with this title; `form`: the form shows it itself. */
  errors?: string
}

/** Calls a route that changes something. */
export function useDo<R extends Route>(
  route: R,
  options: DoOptions<R> = {},
): UseMutationResult<Output<R>, Error, Given<R>> {
  const queries = useQueryClient()
  return useMutation<Output<R>, Error, Given<R>>({
    mutationFn: (given) => call(client, route, given),
    onSuccess: async (reply, given) => {
      options.onDone?.(reply, given)
      await Promise.all((options.invalidates ?? []).map((r) => queries.invalidateQueries({ queryKey: keyOf(r) })))
    },
    onError: (error) => {
      if (options.errors !== 'form') showError(error, options.errors)
    },
  })
}
