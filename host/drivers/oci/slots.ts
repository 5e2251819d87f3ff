import { SlopboxError } from '../../../contract/errors.ts'
import { readIfThere, writeAtomic } from './layout.ts'

const reserved = 64

/**
 * Numbers from which a sandbox's addresses, link name and user ids follow. They are given out in a circle, so that an
 * address rests as long as possible before somebody else gets it, also across restarts: the file holds a number that none
 * given out so far has passed.
 */
export class Slots {
  readonly #file: string
  readonly #count: number
  readonly #used: Set<number>
  #next: number
  #ceiling: number

  private constructor(file: string, count: number, used: Iterable<number>, next: number) {
    this.#file = file
    this.#count = count
    this.#used = new Set(used)
    this.#next = next
    this.#ceiling = next
  }

  static async open(file: string, count: number, used: Iterable<number>): Promise<Slots> {
    const text = await readIfThere(file)
    return new Slots(file, count, used, text === undefined ? 0 : Number(text) % count)
  }

  /** Throws `no_capacity` when every slot is in use. */
  async take(): Promise<number> {
    for (let step = 0; step < this.#count; step++) {
      const slot = (this.#next + step) % this.#count
      if (this.#used.has(slot)) continue
      this.#used.add(slot)
      const passed = slot + 1 > this.#ceiling || slot + reserved < this.#ceiling
      this.#next = slot + 1
      if (passed) {
        this.#ceiling = slot + reserved
        await writeAtomic(this.#file, String(this.#ceiling))
      }
      return slot
    }
    throw new SlopboxError('no_capacity', `all ${this.#count} sandbox addresses of this host are in use`)
  }

  release(slot: number): void {
    this.#used.delete(slot)
  }
}
