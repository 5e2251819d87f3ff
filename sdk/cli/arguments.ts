import { InvalidArgumentError } from 'commander'
import { readFileSync } from 'node:fs'

/** Parsers of single arguments. Each says what it wanted and what it got. */

export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN
    if (!(value >= min && value <= max)) throw new InvalidArgumentError(`wanted a whole number from ${min} to ${max}`)
    return value
  }
}

/** Text of a file, or of standard input for `-`. */
export function fileText(path: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8')
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error))
  }
}

export const collect = (value: string, all: string[]): string[] => [...all, value]

export function pairs(value: string, all: Record<string, string>): Record<string, string> {
  const at = value.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('wanted NAME=VALUE')
  return { ...all, [value.slice(0, at)]: value.slice(at + 1) }
}

export function money(text: string): number {
  if (!/^\d{1,6}(\.\d{1,2})?$/.test(text)) throw new InvalidArgumentError('wanted an amount such as 25 or 12.50')
  return Math.round(Number(text) * 100)
}

/** A value that must not stand on the command line, where every user of the machine can read it: from standard input. */
export async function secretFromInput(prompt: string): Promise<string> {
  if (process.stdin.isTTY) return promptHidden(prompt)
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '')
}

/** Reads a line from the terminal without showing it. */
export function promptHidden(prompt: string): Promise<string> {
  process.stderr.write(`${prompt}: `)
  process.stdin.setRawMode(true)
  process.stdin.setEncoding('utf8')
  process.stdin.resume()
  return new Promise((resolve, reject) => {
    let text = ''
    const finish = (): void => {
      process.stdin.off('data', onData)
      process.stdin.setRawMode(false)
      process.stdin.pause()
      process.stderr.write('\n')
    }
    const onData = (data: string): void => {
      for (const c of data) {
        if (c === '\u0003') {
          finish()
          return reject(new Error('cancelled'))
        }
        if (c === '\r' || c === '\n') {
          finish()
          return resolve(text)
        }
        text = c === '\u007f' ? text.slice(0, -1) : text + c
      }
    }
    process.stdin.on('data', onData)
  })
}
