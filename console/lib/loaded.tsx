import type { UseQueryResult } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { Button } from '../ui/button.tsx'
import { Failure, Notice, SkeletonRows } from '../ui/states.tsx'
import { tell } from './errors.ts'

/**
 * The states of a view in one place: loading, error, loaded, and loaded with an update that did not work. What is shown
 * stays while it is asked for again.
 */
export function Loaded<T>(props: {
  query: Pick<UseQueryResult<T>, 'data' | 'error' | 'isFetching' | 'refetch'>
  skeleton?: ReactNode
  children: (data: T) => ReactNode
}) {
  const { query, skeleton = <SkeletonRows />, children } = props
  const retry = (): void => void query.refetch()
  if (query.data === undefined) {
    if (query.error === null) return skeleton
    return <Failure told={tell(query.error)} onRetry={retry} busy={query.isFetching} />
  }
  const told = query.error === null ? null : tell(query.error)
  return (
    <>
      {told !== null && (
        <div className="p-3">
          <Notice
            tone="warn"
            title="This may be out of date"
            actions={
              <Button size="sm" onClick={retry} busy={query.isFetching}>
                Try again
              </Button>
            }
          >
            {told.message}
          </Notice>
        </div>
      )}
      {children(query.data)}
    </>
  )
}
