import { closeSync, existsSync, fstatSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { dataDirectory } from '../paths.ts'
import { OpsError } from '../say.ts'
import { readFlags } from '../up/settings.ts'

export const logsUsage = 'slopbox logs [PROCESS…] [-f] [-n LINES] [--data DIR]'

const options = {
  data: { type: 'string' },
  follow: { type: 'boolean', short: 'f' },
  lines: { type: 'string', short: 'n' },
} as const
const followEveryMs = 250

/** `slopbox logs`: the last lines of every process's log, or of the named ones, and with -f what is added. */
export async function logs(args: readonly string[]): Promise<number> {
  const flags = readFlags(args, options, logsUsage, true)
  const wanted = parseArgs({ args: [...args], options, allowPositionals: true }).positionals
  const count = lineCount(flags.lines ?? '50')
  const directory = join(dataDirectory(flags.data), 'logs')
  const present = existsSync(directory)
    ? readdirSync(directory).flatMap((file) => (file.endsWith('.log') ? [file.slice(0, -4)] : []))
    : []
  const unknown = wanted.find((name) => !present.includes(name))
  if (unknown !== undefined || present.length === 0) {
    throw new OpsError(
      unknown === undefined ? `there are no logs in ${directory}` : `there is no log of ${unknown} in ${directory}`,
      present.length === 0 ? 'Start it with `slopbox up`.' : `There are: ${present.join(', ')}.`,
    )
  }
  const names = wanted.length === 0 ? present : wanted
  const print = (name: string, line: string): void => {
    process.stdout.write(names.length > 1 ? `${name.padEnd(9)}${line}\n` : `${line}\n`)
  }
  const ends = new Map<string, number>()
  for (const name of names) {
    const file = join(directory, `${name}.log`)
    for (const line of tail(file, count)) print(name, line)
    ends.set(file, statSync(file).size)
  }
  if (flags.follow === true) await follow(directory, names, ends, print)
  return 0
}

function lineCount(text: string): number {
  if (/^\d{1,7}$/.test(text)) return Number(text)
  throw new OpsError(`-n ${text} is not a number of lines`, `Usage: ${logsUsage}`)
}

function tail(file: string, count: number): string[] {
  const lines = readFileSync(file, 'utf8').split('\n')
  if (lines.at(-1) === '') lines.pop()
  return count === 0 ? [] : lines.slice(-count)
}

/** Until Ctrl-C, which ends this process by default. A file that became shorter was moved aside: the new one is read. */
async function follow(
  directory: string,
  names: readonly string[],
  ends: Map<string, number>,
  print: (name: string, line: string) => void,
): Promise<never> {
  for (;;) {
    for (const name of names) {
      const file = join(directory, `${name}.log`)
      const { text, end } = readFrom(file, ends.get(file) ?? 0)
      ends.set(file, end)
      for (const line of text.split('\n')) if (line !== '') print(name, line)
    }
    await sleep(followEveryMs)
  }
}

/** Whole lines after `start`, and where they end. */
function readFrom(file: string, start: number): { text: string; end: number } {
  if (!existsSync(file)) return { text: '', end: 0 }
  const fd = openSync(file, 'r')
  try {
    const { size } = fstatSync(fd)
    const from = size < start ? 0 : start
    const buffer = Buffer.alloc(Math.min(size - from, 1024 * 1024))
    readSync(fd, buffer, 0, buffer.length, from)
    const whole = buffer.subarray(0, buffer.lastIndexOf(10) + 1)
    return { text: whole.toString('utf8'), end: from + whole.length }
  } finally {
    closeSync(fd)
  }
}
