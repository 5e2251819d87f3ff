import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { OpsError } from './say.ts'

/** The clone this code runs from. */
export const appDirectory: string = dirname(import.meta.dirname)

/** The parts of one installation. `state` lives as long as its owner wants, `run` until the machine restarts. */
export interface Places {
  data: string
  installation: string
  operator: string
  lock: string
  caFile: string
  logs: string
  run: string
  sockets: { control: string; gateway: string; database: string }
  network: string
  interceptionCa: string
  localCa: string
  /** Where the unprivileged processes see the clone, whatever directory it really lies in. */
  app: string
  /** Where a process sees its own part of the data directory. */
  own: (process: string) => string
  /** That part's real path. */
  part: (process: string) => string
}

export function dataDirectory(given: string | undefined): string {
  if (given === undefined) return join(homedir(), '.slopbox')
  if (given.trim() !== '') return resolve(given)
  throw new OpsError('--data is empty', 'Name a directory, or leave the option out for ~/.slopbox.')
}

/** Unix socket paths end at 107 bytes, so sockets live under `/run` and never under the data directory. */
export function placesOf(data: string, instance: string, runRoot = '/run/slopbox'): Places {
  const run = join(runRoot, instance)
  return {
    data,
    installation: join(data, 'installation.json'),
    operator: join(data, 'operator.json'),
    lock: join(data, 'up.lock'),
    caFile: join(data, 'ca.pem'),
    logs: join(data, 'logs'),
    run,
    sockets: {
      control: join(run, 'control', 'control.sock'),
      gateway: join(run, 'gateway', 'gateway.sock'),
      database: join(run, 'db'),
    },
    network: join(run, 'host', 'network.json'),
    interceptionCa: join(run, 'egress-ca.pem'),
    localCa: join(run, 'ca.pem'),
    app: join(run, 'app'),
    own: (process) => join(run, 'data', process),
    part: (process) => join(data, process),
  }
}
