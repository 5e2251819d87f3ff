import { pino } from 'pino'

/** Structured log of one process, JSON lines on standard error. Values under the named keys are removed wherever they stand. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  child(fields: object): Log
}

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

const hidden = [
  'authorization',
  'cookie',
  'set-cookie',
  'proxy-authorization',
  'x-api-key',
  'password',
  'token',
  'key',
  'secret',
  'value',
]

export function createLog(name: string, level: LogLevel): Log {
  const paths = hidden.flatMap((key) => [`["${key}"]`, `*["${key}"]`, `*.*["${key}"]`])
  return pino(
    { name, level, base: { name }, timestamp: pino.stdTimeFunctions.isoTime, redact: { paths, censor: '[hidden]' } },
    pino.destination({ dest: 2, sync: true }),
  )
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silentLog }
