import { QueryCache, QueryClient } from '@tanstack/react-query'
import { SlopboxError } from '../../contract/errors.ts'
import { getMe } from '../../contract/people.ts'
import { isCode } from './errors.ts'

/** Failures that another try may cure. Refusals are not: the same question gets the same answer. */
const passing = (error: Error): boolean => !(error instanceof SlopboxError) || error.status >= 500

export const queries: QueryClient = new QueryClient({
  queryCache: new QueryCache({
    onError: (error, query) => {
      // A session that ended anywhere has ended everywhere: the shell asks again and leads to the sign-in page.
      if (isCode(error, 'unauthenticated') && query.queryKey[0] !== getMe.id)
        void queries.invalidateQueries({ queryKey: [getMe.id] })
    },
  }),
  defaultOptions: {
    queries: { staleTime: 5_000, retry: (count, error) => count < 2 && passing(error) },
    mutations: { retry: false },
  },
})
