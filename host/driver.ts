import type { Duplex, Readable, Writable } from 'node:stream'
import type { TerminalSize } from '../contract/pty.ts'
import type { Isolation, LogLine, Size } from '../contract/sandboxes.ts'

/**
 * How a host runs sandboxes. Every verb may be repeated, and any process may be killed at any line: `list` is the whole
 * truth, callers never cache it. The optional methods are capabilities, found by presence.
 */
export interface Driver {
  readonly name: string
  readonly isolations: readonly Isolation[]
  /** True when its sandboxes need no root from this host: templates are not built here then and count as ready. */
  readonly bringsRoots?: boolean
  /** Makes disk, addresses and limits; the sandbox is `stopped` afterwards. An existing one is left as it is. */
  create(id: string, spec: DriverSpec): Promise<void>
  /** Starts the start command, or an idle init. Its link is announced before the first instruction runs inside. */
  start(id: string): Promise<void>
  /** SIGTERM, then SIGKILL after the spec's grace. Disk and addresses stay. */
  stop(id: string): Promise<void>
  /** Leaves no mount, namespace, cgroup, link, address or rule; and of its volumes only those not named. */
  destroy(id: string, volumes: readonly string[]): Promise<void>
  list(): Promise<ReadonlyMap<string, Observed>>
  /** One entry of `list`, where that costs less than all of them. */
  look?(id: string): Promise<Observed | undefined>
  /** Counters of a sandbox since its epoch began. */
  usage(id: string): Promise<DriverUsage>

  pause?(id: string): Promise<void>
  resume?(id: string): Promise<void>
  /** Replaces the files under /etc/slopbox/, atomically each, also while it runs. */
  writeFiles?(id: string, files: readonly DriverFile[]): Promise<void>
  exec?(id: string, request: DriverExec): Promise<Execution>
  /**
   * Works on files inside, as a user of the sandbox and with no way out of its root. The words are an operation of
   * `drivers/oci/files.pl` and its arguments; the protocol is described there.
   */
  files?(id: string, user: string | undefined, words: readonly string[]): Promise<Execution>
  /** Takes over size, environment, user, cwd and start command for the next start of a stopped sandbox; its disk stays. */
  update?(id: string, spec: DriverSpec): Promise<void>
  /** A connection to a port inside, made from the host's end of the link. */
  dial?(id: string, port: number, signal: AbortSignal): Promise<Duplex>
  logs?(id: string, options: { tail: number; follow: boolean; signal: AbortSignal }): AsyncIterable<LogLine>
  addresses?(id: string): Promise<{ host: string; sandbox: string } | undefined>
  /**
   * What a stopped sandbox changed in its template's layers, as a new layer in the empty directory `toDir` (same file
   * system as the driver's data if it may move instead of copy): owners as seen inside, whiteouts and opaque marks kept
   * so that `toDir` can stand on top of the same layers. Content of volumes and of mounts is left out.
   * The sandbox may be unusable afterwards: only `destroy` follows. Needed for template builds.
   */
  exportLayer?(id: string, toDir: string): Promise<void>
}

/** A built template on this host. */
export interface TemplateRoot {
  key: string
  /** Directories from the topmost layer to the lowest; owners on disk are as seen inside. */
  layers: readonly string[]
  env: Readonly<Record<string, string>>
  user: string
  cwd: string
}

export interface DriverFile {
  path: string
  content: string
  executable: boolean
}

export interface DriverSpec {
  template: TemplateRoot
  isolation: Isolation
  size: Size
  env: Readonly<Record<string, string>>
  user: string | null
  cwd: string | null
  start: { command: readonly string[]; stopGraceMs: number } | null
  files: readonly DriverFile[]
  volumes: readonly { id: string; path: string }[]
  /** `build`: root inside keeps the capabilities a package manager needs, within its own user namespace. */
  power: 'none' | 'build'
}

export interface Observed {
  state: 'running' | 'paused' | 'stopped'
  /** Exit of the main process when it stopped by itself; null while it runs or after `stop`. */
  exit: { code: number | null; signal: string | null; outOfMemory: boolean; outOfDisk?: true | undefined } | null
  /** Hash of the spec it was created from. */
  specHash: string
  /** Wall clock of the last start, RFC 3339; null when it never ran. */
  startedAt: string | null
}

/** What a driver sees of one sandbox now; undefined: it has none of that name. */
export async function lookAt(driver: Driver, id: string): Promise<Observed | undefined> {
  return driver.look === undefined ? (await driver.list()).get(id) : await driver.look(id)
}

export interface DriverUsage {
  /** Changes whenever the counters below start anew. */
  epoch: string
  cpuMs: number
  memoryBytes: number
}

export interface DriverExec {
  command: readonly string[]
  env: Readonly<Record<string, string>>
  cwd: string | undefined
  user: string | undefined
  /** A terminal instead of three streams: everything comes through `stdout`. */
  terminal?: TerminalSize | undefined
}

export interface Execution {
  stdin: Writable
  stdout: Readable
  stderr: Readable
  kill(signal: NodeJS.Signals): void
  /** Only with a terminal. */
  resize?(size: TerminalSize): void
  /** Settles after both outputs have ended. */
  readonly exited: Promise<{ code: number | null; signal: string | null }>
}
