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
  /** A mount namespace that outlives the process (its mounts are found again after a restart); null for one of its own. */
  keptNamespace: string | null
  /** Mount points taken away inside, for example a second cgroup hierarchy. */
  unmount: readonly string[]
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
    ...confinement.unmount.map((path) => `! mountpoint -q ${quote(path)} || umount ${quote(path)}`),
    ...mounts(confinement),
    `cd ${quote(confinement.app)}`,
    `exec ${[...privileges(confinement), ...argv].map(quote).join(' ')}`,
  ]
  const enter =
    confinement.keptNamespace === null
      ? ['unshare', '--mount', '--propagation', 'private', '--']
      : ['nsenter', `--mount=${confinement.keptNamespace}`, '--']
  return [...enter, '/bin/sh', '-c', steps.join('\n')]
}

/** A kept namespace still has the mounts of the start before; they are replaced, since the clone may have moved. */
function mounts(confinement: Confinement): string[] {
  const replace = (to: string): string[] =>
    confinement.keptNamespace === null ? [] : [`! mountpoint -q ${quote(to)} || umount -l ${quote(to)}`]
  return [
    ...replace(confinement.app),
    `mount --bind -o ro ${quote(confinement.clone)} ${quote(confinement.app)}`,
    ...confinement.binds.flatMap(({ from, to }) =>
      confinement.keptNamespace === null
        ? [`mount --bind ${quote(from)} ${quote(to)}`]
        : [`mountpoint -q ${quote(to)} || mount --bind ${quote(from)} ${quote(to)}`],
    ),
  ]
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
