export type OutputName = 'stdout' | 'stderr'

export interface Piece {
  name: OutputName
  /** Position of the first byte, counted over both streams. */
  start: number
  bytes: Buffer
}

/** The latest output of a command, in the order it came; older bytes are dropped when there are more than `limit`. */
export class OutputRing {
  readonly #limit: number
  #pieces: Piece[] = []
  #start = 0
  #end = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Position of the oldest byte that is kept: as many were dropped. */
  get start(): number {
    return this.#start
  }

  /** Position behind the newest byte. */
  get end(): number {
    return this.#end
  }

  add(name: OutputName, bytes: Buffer): void {
    // A copy: a chunk may be a small part of a large block that it would keep alive.
    this.#pieces.push({ name, start: this.#end, bytes: Buffer.from(bytes) })
    this.#end += bytes.length
    this.#start = Math.max(this.#start, this.#end - this.#limit)
    const first = this.#pieces.findIndex((piece) => piece.start + piece.bytes.length > this.#start)
    if (first > 0) this.#pieces = this.#pieces.slice(first)
  }

  /** What is kept from this position on; nothing before `start`. */
  from(position: number): Piece[] {
    const at = Math.max(position, this.#start)
    return this.#pieces.flatMap((piece) => {
      const skip = Math.max(0, at - piece.start)
      if (skip >= piece.bytes.length) return []
      return [{ name: piece.name, start: piece.start + skip, bytes: piece.bytes.subarray(skip) }]
    })
  }
}
