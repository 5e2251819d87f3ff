import { useEffect, type ReactNode } from 'react'

/** The frame of a page: one `h1`, one line on what it is for, actions; the document's title follows. */
export function Page(props: {
  title: string
  help?: ReactNode
  actions?: ReactNode
  narrow?: boolean
  children: ReactNode
}) {
  useTitle(props.title)
  return (
    <div
      className={`mx-auto flex w-full flex-col gap-6 px-4 py-6 sm:px-8 sm:py-9 ${props.narrow ? 'max-w-3xl' : 'max-w-5xl'}`}
    >
      <header className="flex flex-wrap items-start justify-between gap-x-6 gap-y-3">
        <div className="flex min-w-0 flex-col gap-1">
          <h1 className="text-xl font-semibold tracking-tight">{props.title}</h1>
          {props.help !== undefined && <p className="max-w-2xl text-pretty text-ink-2">{props.help}</p>}
        </div>
        {props.actions}
      </header>
      {props.children}
    </div>
  )
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Slopbox`
  }, [title])
}
