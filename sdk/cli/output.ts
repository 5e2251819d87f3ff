import { styleText } from 'node:util'

/** Where answers go: tables and sentences for people, one JSON value a line for programs. */
export interface Output {
  json: boolean
  /** The command's answer. With `--json` the value, else what `people` prints. */
  answer(value: unknown, people: () => string): void
  /** One element of a stream. */
  item(value: unknown, people: () => string): void
  /** Progress and remarks, on standard error, never part of the answer. */
  note(text: string): void
  write(text: string | Uint8Array): void
}

export function createOutput(json: boolean): Output {
  const line = (value: unknown, people: () => string): void => {
    const text = json ? JSON.stringify(value) : people()
    if (text !== '') process.stdout.write(text + '\n')
  }
  return {
    json,
    answer: line,
    item: line,
    note: (text) => void process.stderr.write(text + '\n'),
    write: (text) => void process.stdout.write(text),
  }
}

/** A table with a head, columns as wide as their widest cell; `empty` is said instead of a head without rows. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], empty: string): string {
  if (rows.length === 0) return empty
  const clean = rows.map((row) => row.map(printable))
  const widths = head.map((title, i) => Math.max(title.length, ...clean.map((row) => (row[i] ?? '').length)))
  const format = (row: readonly string[]): string =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd()
  return [styleText('bold', format(head), { stream: process.stdout }), ...clean.map(format)].join('\n')
}

/** Names and values as a list. */
export function details(fields: readonly (readonly [string, string])[]): string {
  const width = Math.max(...fields.map(([name]) => name.length))
  return fields.map(([name, value]) => `${name.padEnd(width)}  ${printable(value)}`).join('\n')
}

/** Text written by strangers must not steer the terminal: control characters become visible. */
export const printable = (text: string): string =>
  text.replace(
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g,
    (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const
export function bytes(n: number): string {
  const power = n < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(n) / 10))
  const value = n / 1024 ** power
  return `${power === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[power]}`
}

export const money = (cents: number): string => `$${(cents / 100).toFixed(2)}`
