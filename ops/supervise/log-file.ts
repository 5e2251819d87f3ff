import { closeSync, fstatSync, openSync, renameSync, existsSync, writeSync } from 'node:fs'

const keptFiles = 3

/** Appends to a file and moves it aside when it has grown to `maxBytes`; the newest `keptFiles` old ones stay. */
export class LogFile implements Disposable {
  readonly #path: string
  readonly #maxBytes: number
  #fd: number
  #size: number

  constructor(path: string, maxBytes = 10 * 1024 * 1024) {
    this.#path = path
    this.#maxBytes = maxBytes
    this.#fd = openSync(path, 'a', 0o640)
    this.#size = fstatSync(this.#fd).size
  }

  write(chunk: Buffer): void {
    if (this.#size > 0 && this.#size + chunk.length > this.#maxBytes) this.#rotate()
    writeSync(this.#fd, chunk)
    this.#size += chunk.length
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
