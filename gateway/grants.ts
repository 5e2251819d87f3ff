import type { authorize } from '../contract/sync.ts'
import type { Output } from '../contract/route.ts'

/** The right of somebody to something, as control gave it. */
export type Grant = Output<typeof authorize>

/** Something that must end with its grant: a socket, a stream. */
export interface Use {
  /** No longer needs the grant. May be repeated. */
  release(): void
}

/**
 * The grants in use. All of them are named to control with every sync, and what control calls ended is destroyed at
 * once; the ones nobody uses any more are forgotten.
 */
export class Grants {
  readonly #open = new Map<string, { grant: Grant; uses: Set<() => void> }>()
  readonly #onNew: () => void

  /** `onNew` is told when there is a grant that control has not yet been asked about. */
  constructor(onNew: () => void) {
    this.#onNew = onNew
  }

  /** Registers a use; `destroy` is called once when the grant ends before it is released. */
  use(grant: Grant, destroy: () => void): Use {
    let entry = this.#open.get(grant.grantId)
    if (entry === undefined) {
      entry = { grant, uses: new Set() }
      this.#open.set(grant.grantId, entry)
      this.#onNew()
    }
    // A function of its own, so that two uses with the same `destroy` stay two.
    const end = (): void => destroy()
    const { uses } = entry
    uses.add(end)
    return {
      release: () => {
        uses.delete(end)
        if (uses.size === 0 && this.#open.get(grant.grantId)?.uses === uses) this.#open.delete(grant.grantId)
      },
    }
  }

  ids(): string[] {
    return [...this.#open.keys()]
  }

  /** Destroys everything that uses these grants. */
  end(ids: readonly string[]): void {
    for (const id of ids) {
      const entry = this.#open.get(id)
      this.#open.delete(id)
      for (const end of entry?.uses ?? []) end()
    }
  }

  endAll(): void {
    this.end(this.ids())
  }
}
