/** How a process of ours is started: what it may see, who it is, what it may do. Everything else is taken away. */
export interface Confinement {
  /** System user; null keeps root. */
  user: string | null
  group: string
  /** Directory that becomes visible, read-only, at `app`, where the process also starts. */
  clone: string
  app: string
  /** Directories that become visible to this process alone: real path → where. */
  binds: readonly { from: string; to: string }[]
  /** Capabilities kept by a process that is not root, in setpriv's spelling. */
  capabilities: readonly string[]
  /** Signal the kernel sends when the supervisor dies. */
  onOrphan: 'KILL' | 'INT'
}

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/**
 * The command line that confines itself step by step and then becomes `argv`, without a process in between: a mount
 * namespace, our mounts in it, then user, groups, capabilities and no_new_privs, then the program.
 */
export function confinedCommand(confinement: Confinement, argv: readonly string[]): string[] {
  const steps = [
    'set -e',
    `mount --bind -o ro ${quote(confinement.clone)} ${quote(confinement.app)}`,
    ...confinement.binds.map(({ from, to }) => `mount --bind ${quote(from)} ${quote(to)}`),
    `cd ${quote(confinement.app)}`,
    `exec ${[...privileges(confinement), ...argv].map(quote).join(' ')}`,
  ]
  return ['unshare', '--mount', '--propagation', 'private', '--', '/bin/sh', '-c', steps.join('\n')]
}

function privileges(confinement: Confinement): string[] {
  const orphan = ['setpriv', '--pdeathsig', confinement.onOrphan]
  if (confinement.user === null) return orphan
  const kept = confinement.capabilities.map((name) => `+${name}`)
  const held = kept.length === 0 ? '-all' : ['-all', ...kept].join(',')
  return [
    ...orphan,
    `--reuid=${confinement.user}`,
    `--regid=${confinement.group}`,
    '--clear-groups',
    '--no-new-privs',
    `--inh-caps=${held}`,
    `--bounding-set=${held}`,
    ...(kept.length === 0 ? [] : [`--ambient-caps=${held}`]),
  ]
}
