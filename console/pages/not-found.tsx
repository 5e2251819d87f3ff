import { tell } from '../lib/errors.ts'
import { Link } from '../lib/link.tsx'
import { paths } from '../lib/paths.ts'
import { buttonClass } from '../ui/button.tsx'
import { Empty, Failure } from '../ui/states.tsx'

export function NotFoundPage() {
  return (
    <main className="grid min-h-[70dvh] place-items-center">
      <Empty icon="globe" title="There is nothing here" help="The address may be mistyped, or the thing may be gone.">
        <Link to={paths.agents()} className={buttonClass()}>
          Go to your agents
        </Link>
      </Empty>
    </main>
  )
}

/** Shown when drawing a page went wrong, which is a bug of the console. */
export function CrashPage({ error }: { error: unknown }) {
  return (
    <main className="grid min-h-[70dvh] place-items-center">
      <Failure told={tell(error)} onRetry={() => location.reload()} />
    </main>
  )
}
