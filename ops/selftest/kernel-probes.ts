import type { Probe } from './probe.ts'

/** Name, number on x86-64 and on arm64 (the kernel's tables), arguments. None does harm when it is let through. */
type Call = readonly [name: string, x64: number, arm64: number, args: string]

const refusedCalls = (calls: readonly Call[]) => (): string =>
  calls.map(([name, x64, arm64, args]) => `refused('${name}', ${x64}, ${arm64}, ${args});`).join('\n')

const socketCalls =
  (kinds: readonly (readonly [name: string, family: number, type: number, protocol?: number])[]) => (): string =>
    kinds
      .map(
        ([name, family, type, protocol = 0]) =>
          `if (socket(my $s, ${family}, ${type}, ${protocol})) { broken('${name} socket opened') } else { held("${name}: $!") }`,
      )
      .join('\n')

/** What the kernel itself offers beyond what a program needs. */
export const kernelProbes: readonly Probe[] = [
  {
    name: 'core-pattern',
    tried: "write the kernel's settings: core_pattern, modprobe, hotplug, binfmt_misc",
    script:
      () => `unwritable('/proc/sys/kernel/core_pattern', '/proc/sys/kernel/modprobe', '/proc/sys/vm/overcommit_memory',
      '/proc/sys/kernel/hostname', '/sys/kernel/uevent_helper', '/proc/sys/fs/binfmt_misc/register', '/proc/sys/kernel/yama/ptrace_scope')`,
  },
  { name: 'sysrq', tried: 'write to /proc/sysrq-trigger', script: () => `unwritable('/proc/sysrq-trigger')` },
  {
    name: 'cgroup-release-agent',
    tried: 'write release_agent, notify_on_release and the limits of control groups; mount a group tree',
    script: () => `for my $dir ('/sys/fs/cgroup', entries('/sys/fs/cgroup', '.')) {
        unwritable(grep { -e } map { "$dir/$_" } 'release_agent', 'notify_on_release', 'cgroup.procs', 'memory.max',
          'memory.limit_in_bytes', 'pids.max', 'devices.allow') }
      refused('mount cgroup', 165, 40, "none\\0", "/tmp\\0", "cgroup\\0", 0, "none,name=probe-none\\0") or syscall($arm ? 39 : 166, "/tmp\\0", 2);`,
  },
  {
    name: 'modules',
    tried: 'load and unload kernel modules, load another kernel',
    script: refusedCalls([
      ['init_module', 175, 105, '0, 0, 0'],
      ['finit_module', 313, 273, '-1, 0, 0'],
      ['delete_module', 176, 106, '0, 0'],
      ['kexec_load', 246, 104, '0, 1000, 0, 0'],
    ]),
  },
  {
    name: 'mount',
    tried: 'mount, unmount, change the root, with the old and the new calls',
    script: refusedCalls([
      ['mount', 165, 40, '0, 0, 0, 0, 0'],
      ['umount2', 166, 39, '0, 0'],
      ['pivot_root', 155, 41, '0, 0'],
      ['chroot', 161, 51, '0'],
      ['open_tree', 428, 428, '-1, 0, 0'],
      ['move_mount', 429, 429, '-1, 0, -1, 0, 0'],
      ['fsopen', 430, 430, '0, 0'],
      ['mount_setattr', 442, 442, '-1, 0, 0, 0, 0'],
    ]),
  },
  {
    name: 'new-namespaces',
    tried: 'make a user namespace and the power in it, join others',
    script: () => `${refusedCalls([
      ['unshare user', 272, 97, '0x10000000'],
      ['unshare mount', 272, 97, '0x20000'],
      ['clone3', 435, 435, '0, 0'],
      ['setns', 308, 268, '-1, 0'],
    ])()}
      my $child = syscall($arm ? 220 : 56, 0x10000011, 0, 0, 0, 0); kill 9, $$ if $child == 0;
      $child == -1 ? held("clone user: $!") : broken('clone with a user namespace succeeded');`,
  },
  {
    name: 'tracing',
    tried: 'trace another process, read and write its memory, take its descriptors',
    script: () =>
      `${refusedCalls([
        ['ptrace', 101, 117, '1, 1, 0, 0'],
        ['process_vm_readv', 310, 270, '1, 0, 0, 0, 0, 0'],
        ['process_vm_writev', 311, 271, '1, 0, 0, 0, 0, 0'],
        ['pidfd_getfd', 438, 438, '-1, 0, 0'],
        ['kcmp', 312, 272, '1, 1, 0, 0, 0'],
      ])()}`,
  },
  {
    name: 'keyrings',
    tried: 'add, read and request keys of the kernel',
    script: refusedCalls([
      ['add_key', 248, 217, '0, 0, 0, 0, 0'],
      ['request_key', 249, 218, '0, 0, 0, 0'],
      ['keyctl', 250, 219, '0, -3, 0'],
    ]),
  },
  { name: 'bpf', tried: 'load a program into the kernel', script: refusedCalls([['bpf', 321, 280, '0, 0, 0']]) },
  {
    name: 'io-uring',
    tried: 'set up a ring',
    script: refusedCalls([
      ['io_uring_setup', 425, 425, '1, 0'],
      ['io_uring_enter', 426, 426, '-1, 0, 0, 0, 0'],
      ['io_uring_register', 427, 427, '-1, 0, 0, 0'],
    ]),
  },
  {
    name: 'userfaultfd',
    tried: 'stop the kernel in the middle of a copy',
    script: () => `refused('userfaultfd', 323, 282, 0); unreadable('/dev/userfaultfd')`,
  },
  {
    name: 'perf-events',
    tried: 'watch the processor',
    script: refusedCalls([['perf_event_open', 298, 241, '0, 0, 0, 0, 0']]),
  },
  {
    name: 'clock-and-power',
    tried: 'set clocks and names, reboot, read the kernel log, use ports of devices',
    script: () => `${refusedCalls([
      ['clock_settime', 227, 112, '0, 0'],
      ['settimeofday', 164, 170, '1, 0'],
      ['sethostname', 170, 161, '0, -1'],
      ['reboot', 169, 142, '0, 0, 0, 0'],
      ['syslog', 103, 116, '10, 0, 0'],
      ['swapon', 167, 224, '0, 0'],
      ['acct', 163, 89, '1'],
      ['quotactl', 179, 60, '-1, 0, 0, 0'],
    ])()}
      refused('iopl', 172, -1, 0) unless $arm;`,
  },
  {
    name: 'file-handles',
    tried: 'open files by handle, around every directory',
    script: refusedCalls([['open_by_handle_at', 304, 265, '-1, 0, 0']]),
  },
  {
    name: 'raw-sockets',
    tried: 'raw and packet sockets',
    script: socketCalls([
      ['raw IPv4', 2, 3, 1],
      ['raw IPv6', 10, 3, 58],
      ['packet', 17, 3],
      ['packet (cooked)', 17, 2],
      ['XDP', 44, 3],
    ]),
  },
  {
    name: 'vsock',
    tried: 'a socket to the hypervisor',
    script: () => `${socketCalls([['vsock', 40, 1]])()}; unreadable('/dev/vsock')`,
  },
  { name: 'af-alg', tried: "the kernel's cryptography", script: socketCalls([['AF_ALG', 38, 5]]) },
  {
    name: 'odd-sockets',
    tried: 'families that nobody needs: key, TIPC, CAN, Bluetooth, RDS, SMC',
    script: socketCalls([
      ['AF_KEY', 15, 3],
      ['TIPC', 30, 1],
      ['CAN', 29, 3],
      ['Bluetooth', 31, 3],
      ['RDS', 21, 5],
      ['SMC', 43, 1],
    ]),
  },
]
