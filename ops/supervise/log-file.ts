import { closeSync, fstatSync, openSync, renameSync, existsSync, writeSync } from 'node:fs'

const keptFiles = 3

/** True for what a full disk or a used-up quota says. */
export const isDiskFull = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '')

/**
 * Appends to a file and moves it aside when it has grown to `maxBytes`; the newest `keptFiles` old ones stay. What a full
 * disk does not take is dropped, and the file says so once it takes something again: who logs must go on.
 */
export class LogFile implements Disposable {
  readonly #path: string
  readonly #maxBytes: number
  #fd: number
  #size: number
  #droppedBytes = 0

  constructor(path: string, maxBytes = 10 * 1024 * 1024) {
    this.#path = path
    this.#maxBytes = maxBytes
    this.#fd = openSync(path, 'a', 0o640)
    this.#size = fstatSync(this.#fd).size
  }

  write(chunk: Buffer): void {
    const gap = this.#droppedBytes
    const note = gap === 0 ? '' : `\n(${gap} bytes of this log were dropped: the disk was full)\n`
    const block = Buffer.concat([Buffer.from(note), chunk])
    try {
      if (this.#size > 0 && this.#size + block.length > this.#maxBytes) this.#rotate()
      const written = writeSync(this.#fd, block)
      this.#size += written
      this.#droppedBytes = written < block.length ? block.length - written : 0
    } catch (error) {
      if (!isDiskFull(error)) throw error
      this.#droppedBytes += chunk.length
    }
  }

  #rotate(): void {
    closeSync(this.#fd)
    for (let index = keptFiles - 1; index >= 1; index--) {
      if (existsSync(`${this.#path}.${index}`)) renameSync(`${this.#path}.${index}`, `${this.#path}.${index + 1}`)
    }
    renameSync(this.#path, `${this.#path}.1`)
    this.#fd = openSync(this.#path, 'a', 0o640)
    this.#size = 0
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
  }
}
